package main

import "strings"

// cacheTrap is a kind of traps that came of mistakes of the guard: each filling,
// "a/b", in each frame. What is held out was not what the guard was mended after word
// by word; the frames that are held out of "mention" came after all mending.
type cacheTrap struct {
	kind             string
	frames, held     string // one a line, with {w}
	fills, heldFills string // separated by commas
}

func cacheTraps() []cacheTrap {
	return []cacheTrap{
		{
			kind: "mention",
			frames: `How do you spell {w}?
				How many letters are in {w}?
				What does {w} mean?
				How do I translate {w} into German?
				What is a synonym of {w}?
				What does {w} do in SQL?
				What is the difference between {w} and zebra?
				Is {w} a good move in Scrabble?
				Who coined {w}?
				How old is {w}, etymologically?
				Where does the stress fall in {w}?`,
			held: `Did Shakespeare ever use {w}?
				Which is longer on paper, {w} or zebra?
				Can Bob chant {w} twice?
				What comes after {w} in the dictionary?`,
			fills: `colour/color,centre/center,photo/photograph,lawyer/attorney,car/automobile,phone/telephone,info/information,TV/television,
				twelve/12,can't/cannot,organise/organize,start/begin,select/choose,while/whilst`,
			heldFills: `sofa/couch,clever/smart,tyre/tire,cheque/check,autumn/fall,fridge/refrigerator`,
		},
		{
			kind: "term",
			frames: `What is the {w}?
				How does the {w} work?
				Where do I find the {w} of Barclays?
				Why is there no {w}?`,
			fills: `quick ratio/fast ratio,rapid transit/fast transit,fast charging/quick charging,permit process/allow process,till/until,
				big data/large data,start menu/begin menu,buy order/purchase order,sick leave/ill leave,select committee/choose committee,
				help desk/assist desk,repo rate/repository rate,permit office/allow office,quick sort/rapid sort`,
			heldFills: `bought ledger/purchased ledger,attorney general/lawyer general,hot dog/warm dog,hard drive/difficult drive,
				small talk/little talk,dead line/late line,open source/public source,cold call/cool call,phone tree/telephone tree trunk,
				min heap/minimum bid,max pool/maximum lake,required reserve/mandatory reservation`,
		},
		{
			kind: "idiom",
			frames: `What is {w}?
				Why does {w} matter to him?`,
			held: `Who explained {w} to Bob?`,
			fills: `time/the time,matter/the matter,man/the man,capital/the capital,interest/the interest,law/the law,
				proof of work/the proof of work,point of sale/the point of sale,right of way/the right of way`,
			heldFills: `faith/the faith,space/the space,power/the power,state of emergency/the state of emergency,
				code of conduct/the code of conduct,word of mouth/the word of mouth,art of war/the art of war`,
		},
		{
			kind: "idiom, place",
			frames: `Who was {w} in 1990?
				Why is Bob {w}?`,
			held: `Since when has Alice been {w}?`,
			fills: `in office/in the office,out of question/out of the question,in hospital/in the hospital,at school/at the school,
				in case of fire/in the case of fire`,
			heldFills: `at sea/at the sea,on air/on the air,in control of it/in the control of it,in front of it/in the front of it,
				in charge of Bob/in the charge of Bob,at table/at the table`,
		},
		{
			kind: "abbreviation",
			frames: `Who founded {w}?
				What is the average {w}?
				When is the {w} test?
				Who is {w}?`,
			held:      `Which team works with {w} in Oslo?`,
			fills:     `SAT/Saturday,SUN/Sunday,APR/April,JAN/January,Jan/January,Mar/March,DEC/December,WED/Wednesday,Sun/Sunday,MAR/March`,
			heldFills: `SOAP/soap,REST/rest,AIDS/aids,COBRA/cobra,BASIC/basic,IT/it,OCT/October,MON/Monday,FEB/February,Tues/Tuesday Weld`,
		},
		{
			kind: "have to",
			frames: `How long do I {w} to pay the bill?
				How many days do I {w} to return an item?
				How much money do I {w} to spend?
				What does Paris {w} to offer?`,
			held: `How many lives do players {w} to lose?
				What do we {w} to show for it?`,
			fills: `have/need`, heldFills: `have/want,have/ought,have/get`,
		},
		{
			kind: "to and from",
			frames: `How do I get {w}?
				Is it hard {w}?`,
			held:      `What does Alice need {w}?`,
			fills:     `to work from home/from home to work,to study from home/from home to study,to school from home/from home to school`,
			heldFills: `to trade from Paris/from Paris to trade,to market from Rome/from Rome to market,to sea from Oslo/from Oslo to sea`,
		},
	}
}

// cacheTrapPairs are those, both ways.
func cacheTrapPairs() []cachePair {
	var out []cachePair
	for _, t := range cacheTraps() {
		for i, frames := range []string{t.frames, t.held} {
			for j, fills := range []string{t.fills, t.heldFills} {
				out = append(out, trapPairs(t.kind, frames, fills, i+j > 0)...)
			}
		}
	}
	return out
}

func trapPairs(kind, frames, fills string, held bool) []cachePair {
	var out []cachePair
	for frame := range strings.Lines(frames) {
		for fill := range strings.SplitSeq(fills, ",") {
			x, y, _ := strings.Cut(strings.TrimSpace(fill), "/")
			frame = strings.TrimSpace(frame)
			x, y = strings.ReplaceAll(frame, "{w}", x), strings.ReplaceAll(frame, "{w}", y)
			out = append(out, cachePair{domain: kind + " 1", kind: kind, a: x, b: y, meaning: x, other: y, heldOut: held},
				cachePair{domain: kind + " 2", kind: kind, a: y, b: x, meaning: y, other: x, heldOut: held})
		}
	}
	return out
}
