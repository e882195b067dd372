package main

import (
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
)

// The grammar of the semantic cache's pairs. It is written without the guard's
// lists: what is a paraphrase or a trap is said here, by hand.

// cacheDomain fills the shapes of a domain.
type cacheDomain struct {
	name                       string
	verbs, nouns, names, roles []string
}

func cacheDomains() []cacheDomain {
	var out []cacheDomain
	for line := range strings.Lines(cacheDomainWords) {
		parts := strings.Split(strings.TrimSpace(line), "|")
		if len(parts) != 5 {
			continue
		}
		words := func(i int) []string { return strings.Split(parts[i], ",") }
		out = append(out, cacheDomain{parts[0], words(1), words(2), words(3), words(4)})
	}
	return out
}

const cacheDomainWords = `
banking|cancel,transfer,dispute,verify,renew|payment,savings account,credit card,loan,statement|Barclays,Santander,Monzo,Citibank,Wells Fargo|tellers,customers,auditors
travel|book,cancel,change,confirm,upgrade|hotel room,flight,boarding pass,rental contract,seat|Lisbon,Oslo,New York,Buenos Aires,Kyoto|passengers,agents,pilots
cooking|boil,marinate,freeze,season,roast|chicken,rice,potato salad,salmon,bean soup|Gordon Ramsay,Julia Child,Jamie Oliver,Nigella Lawson|chefs,guests,waiters
software|restart,deploy,configure,migrate,monitor|database,web server,message queue,cluster,build pipeline|Postgres,MySQL,Redis,Kubernetes,Jenkins|developers,admins,testers
medicine|treat,prevent,diagnose,monitor,examine|migraine,blood pressure,skin rash,back pain,fever|Ibuprofen,Aspirin,Metformin,Paracetamol|nurses,patients,surgeons
cars|replace,inspect,clean,repair,order|brake pad,fuel filter,car battery,tyre,oil pump|Toyota,Volvo,Honda,Renault,Ferrari|mechanics,drivers,dealers
geography|visit,map,survey,protect,cross|river delta,mountain pass,coral reef,desert,border|Peru,Norway,Kenya,Vietnam,Canada|hikers,rangers,tourists
sports|watch,organise,referee,record,cancel|cup final,relay race,tennis match,training session,tournament|Arsenal,Juventus,Bayern,Ajax,Benfica|players,coaches,fans
law|file,contest,witness,appeal,amend|tax return,rental contract,patent,last will,court order|Smith,Miller,Johnson,Garcia|tenants,judges,landlords
gardening|prune,water,harvest,fertilize,plant|apple tree,tomato plant,rose bush,lawn,hedge|Bosch,Gardena,Husqvarna,Stihl|gardeners,neighbours,beekeepers
school|print,grade,submit,correct,collect|exam paper,homework,school report,essay,reading list|Oxford,Stanford,Harvard,Cambridge|teachers,pupils,parents
retail|return,exchange,reserve,ship,wrap|gift card,winter coat,coffee machine,parcel,desk lamp|Amazon,Walmart,Tesco,Carrefour|cashiers,shoppers,suppliers
hr|approve,reject,schedule,extend,audit|sick leave,job contract,time sheet,pay slip,bonus|Deloitte,Accenture,Siemens,Bosch|managers,interns,recruiters
energy|install,insulate,measure,repair,inspect|heat pump,solar panel,smart meter,boiler,wind turbine|Tesla,Vattenfall,Iberdrola,Enel|tenants,owners,engineers`

// cacheShape is a question with slots, and what may be made of it: other wordings
// of the same meaning, and wordings of another.
type cacheShape struct {
	text  string
	same  map[string]string
	traps map[string]string
	// held are traps with words no list of the guard has.
	held map[string]string
	// swaps are pairs of slots whose exchange makes another question.
	swaps [][2]string
}

func cacheShapes() []cacheShape {
	return []cacheShape{
		{text: "How do I {verb} the {noun} at {name}?",
			same:  map[string]string{"phrase": "How can I {verb} the {noun} at {name}?", "how to": "How to {verb} the {noun} at {name}", "front": "At {name}, how do I {verb} the {noun}?", "rewording": "What steps are there to {verb} the {noun} at {name}?"},
			traps: map[string]string{"negation": "How do I not {verb} the {noun} at {name}?", "never": "How do I never {verb} the {noun} at {name}?", "question word": "When do I {verb} the {noun} at {name}?", "modal": "How should I {verb} the {noun} at {name}?", "tense": "How did I {verb} the {noun} at {name}?"},
			held:  map[string]string{"negation": "How do I avoid having to {verb} the {noun} at {name}?", "undo": "How do I re-{verb} the {noun} at {name}?", "preposition": "How do I {verb} the {noun} near {name}?", "who": "How do you {verb} the {noun} at {name}?"}},
		{text: "What was the revenue of {name} in {month} {year}?",
			same:  map[string]string{"front": "In {month} {year}, what was the revenue of {name}?", "indirect": "Could you tell me what the revenue of {name} was in {month} {year}?", "possessive": "What was {name}'s revenue in {month} {year}?", "rewording": "How high was the revenue of {name} in {month} {year}?"},
			traps: map[string]string{"tense": "What is the revenue of {name} in {month} {year}?", "before": "What was the revenue of {name} before {month} {year}?", "with out": "What was the revenue without {name} in {month} {year}?"},
			held:  map[string]string{"noun": "What was the turnover tax of {name} in {month} {year}?", "antonym": "What was the deficit of {name} in {month} {year}?", "exclusion": "What was the revenue apart from {name} in {month} {year}?"}},
		{text: "Can {role} {verb} the {noun} within {n} {unit}?",
			same:  map[string]string{"indirect": "Do you know if {role} can {verb} the {noun} within {n} {unit}?", "passive": "Can the {noun} be {verbed} by {role} within {n} {unit}?", "front": "Within {n} {unit}, can {role} {verb} the {noun}?"},
			traps: map[string]string{"negation": "Can {role} not {verb} the {noun} within {n} {unit}?", "scope": "Can only {role} {verb} the {noun} within {n} {unit}?", "all": "Can all {role} {verb} the {noun} within {n} {unit}?", "modal": "Must {role} {verb} the {noun} within {n} {unit}?", "after": "Can {role} {verb} the {noun} after {n} {unit}?", "statement": "{role} can {verb} the {noun} within {n} {unit}."},
			held:  map[string]string{"negation": "Can {role} refuse to {verb} the {noun} within {n} {unit}?", "quantity": "Can fewer {role} {verb} the {noun} within {n} {unit}?", "other": "Can other {role} {verb} the {noun} within {n} {unit}?"}},
		{text: "Did {person} call {person2} about the {noun}?",
			same:  map[string]string{"indirect": "I would like to know whether {person} called {person2} about the {noun}.", "passive": "Was {person2} called by {person} about the {noun}?", "synonym": "Did {person} call {person2} regarding the {noun}?", "synonym, unlisted": "Did {person} phone {person2} about the {noun}?"},
			traps: map[string]string{"negation": "Didn't {person} call {person2} about the {noun}?", "question word": "When did {person} call {person2} about the {noun}?", "without": "Did {person} call without {person2} about the {noun}?"},
			held:  map[string]string{"voice": "Was {person} called by {person2} about the {noun}?", "negation": "Did {person} fail to call {person2} about the {noun}?", "noun": "Did {person} call {person2}'s boss about the {noun}?"},
			swaps: [][2]string{{"person", "person2"}}},
		{text: "Is {name} {adj} than {name2} for {role}?",
			same:  map[string]string{"indirect": "Can you tell me if {name} is {adj} than {name2} for {role}?", "front": "For {role}, is {name} {adj} than {name2}?"},
			traps: map[string]string{"negation": "Isn't {name} {adj} than {name2} for {role}?", "equal": "Is {name} as good as {name2} for {role}?", "less": "Is {name} less {adj} than {name2} for {role}?"},
			held:  map[string]string{"against": "Is {name} {adj} than {name2} according to {role}?", "degree": "Is {name} far {adj} than {name2} for {role}?"},
			swaps: [][2]string{{"name", "name2"}}},
		{text: "How long is the trip from {city} to {city2} by train?",
			same:  map[string]string{"order": "How long is the trip to {city2} from {city} by train?", "indirect": "Do you know how long the trip from {city} to {city2} by train is?", "front": "By train, how long is the trip from {city} to {city2}?", "rewording": "How much time does the train need from {city} to {city2}?"},
			traps: map[string]string{"without": "How long is the trip from {city} to {city2} without a train?", "question word": "How expensive is the trip from {city} to {city2} by train?"},
			held:  map[string]string{"vehicle": "How long is the trip from {city} to {city2} by ferry?", "via": "How long is the trip from {city} past {city2} by train?"},
			swaps: [][2]string{{"city", "city2"}}},
		{text: "When did {name} {verb} the first {noun} with {person}?",
			same:  map[string]string{"indirect": "Do you know when {name} {verbed} the first {noun} with {person}?", "passive": "When was the first {noun} {verbed} by {name} with {person}?"},
			traps: map[string]string{"ordinal": "When did {name} {verb} the second {noun} with {person}?", "last": "When did {name} {verb} the last {noun} with {person}?", "question word": "Why did {name} {verb} the first {noun} with {person}?", "without": "When did {name} {verb} the first {noun} without {person}?"},
			held:  map[string]string{"penultimate": "When did {name} {verb} the penultimate {noun} with {person}?", "against": "When did {name} {verb} the first {noun} against {person}?"}},
		{text: "Do I have to {verb} the {noun} before I {verb2} it?",
			same:  map[string]string{"indirect": "I want to know if I have to {verb} the {noun} before I {verb2} it.", "synonym": "Do I need to {verb} the {noun} before I {verb2} it?", "front": "Before I {verb2} it, do I have to {verb} the {noun}?"},
			traps: map[string]string{"after": "Do I have to {verb} the {noun} after I {verb2} it?", "negation": "Don't I have to {verb} the {noun} before I {verb2} it?", "modal": "May I {verb} the {noun} before I {verb2} it?", "statement": "I have to {verb} the {noun} before I {verb2} it."},
			held:  map[string]string{"instead": "Do I have to {verb} the {noun} rather than {verb2} it?", "person": "Does she have to {verb} the {noun} before I {verb2} it?"},
			swaps: [][2]string{{"verb", "verb2"}}},
		{text: "What happens if {role} lose {n} {unit} of the {noun}?",
			same:  map[string]string{"front": "If {role} lose {n} {unit} of the {noun}, what happens?", "synonym": "What occurs if {role} lose {n} {unit} of the {noun}?"},
			traps: map[string]string{"unless": "What happens unless {role} lose {n} {unit} of the {noun}?", "negation": "What happens if {role} don't lose {n} {unit} of the {noun}?", "antonym": "What happens if {role} win {n} {unit} of the {noun}?", "scope": "What happens if some {role} lose {n} {unit} of the {noun}?"},
			held:  map[string]string{"antonym": "What happens if {role} regain {n} {unit} of the {noun}?", "half": "What happens if {role} lose nearly {n} {unit} of the {noun}?"}},
		{text: "Which {role} {verbed} the {noun} on {day} {month} {year}?",
			same:  map[string]string{"date": "Which {role} {verbed} the {noun} on {month} {day}, {year}?", "front": "On {day} {month} {year}, which {role} {verbed} the {noun}?", "what": "What {role} {verbed} the {noun} on {day} {month} {year}?", "passive": "By which {role} was the {noun} {verbed} on {day} {month} {year}?"},
			traps: map[string]string{"negation": "Which {role} never {verbed} the {noun} on {day} {month} {year}?", "since": "Which {role} {verbed} the {noun} since {day} {month} {year}?", "count": "How many {role} {verbed} the {noun} on {day} {month} {year}?"},
			held:  map[string]string{"negation": "Which {role} barely {verbed} the {noun} on {day} {month} {year}?", "each": "Which {role} jointly {verbed} the {noun} on {day} {month} {year}?"}},
		{text: "Why doesn't {name} {version} support the colour option of the {noun}?",
			same:  map[string]string{"spelling": "Why doesn't {name} {version} support the color option of the {noun}?", "contraction": "Why does {name} {version} not support the colour option of the {noun}?", "phrase": "For what reason does {name} {version} not support the colour option of the {noun}?"},
			traps: map[string]string{"negation": "Why does {name} {version} support the colour option of the {noun}?", "tense": "Why didn't {name} {version} support the colour option of the {noun}?", "version": "Why doesn't {name} {version}0 support the colour option of the {noun}?", "question word": "Since when doesn't {name} {version} support the colour option of the {noun}?"},
			held:  map[string]string{"word": "Why doesn't {name} {version} drop the colour option of the {noun}?", "identifier": "Why doesn't {name} {version}-rc support the colour option of the {noun}?"}},
		{text: "How do I {opp} the {noun} for {n} {role}?",
			same:  map[string]string{"phrase": "How can I {opp} the {noun} for {n} {role}?", "indirect": "Would you please tell me how I {opp} the {noun} for {n} {role}?"},
			traps: map[string]string{"antonym": "How do I {anti} the {noun} for {n} {role}?", "without": "How do I {opp} the {noun} without {n} {role}?", "at least": "How do I {opp} the {noun} for at least {n} {role}?"},
			held:  map[string]string{"antonym": "How do I {heldanti} the {noun} for {n} {role}?", "limit": "How do I {opp} the {noun} for up to {n} {role}?"}},
		{text: "How do I {heldopp} the {noun} for {role}?",
			same: map[string]string{"phrase": "How can I {heldopp} the {noun} for {role}?"},
			held: map[string]string{"antonym": "How do I {heldother} the {noun} for {role}?"}},
		{text: "Are a few {role} at {name} allowed to {verb} the {noun}?",
			same:  map[string]string{"indirect": "Tell me if a few {role} at {name} are allowed to {verb} the {noun}."},
			traps: map[string]string{"few": "Are few {role} at {name} allowed to {verb} the {noun}?", "all": "Are all {role} at {name} allowed to {verb} the {noun}?", "no": "Are no {role} at {name} allowed to {verb} the {noun}?", "most": "Are most {role} at {name} allowed to {verb} the {noun}?"},
			held:  map[string]string{"none": "Are scarcely any {role} at {name} allowed to {verb} the {noun}?", "twin": "Are both {role} at {name} allowed to {verb} the {noun}?"}},
	}
}

// cacheOpposites are verbs and their opposites: some the guard's list has, and
// some it has not.
func cacheOpposites(held bool) [][2]string {
	if held {
		return [][2]string{{"inflate", "deflate"}, {"heat", "cool"}, {"tighten", "loosen"}, {"fill", "drain"}, {"assemble", "dismantle"}, {"hire", "dismiss"}, {"lend", "borrow"}, {"praise", "criticise"}, {"conceal", "reveal"}}
	}
	return [][2]string{{"enable", "disable"}, {"open", "close"}, {"add", "remove"}, {"increase", "decrease"}, {"lock", "unlock"}, {"install", "uninstall"}, {"import", "export"}, {"include", "exclude"}}
}

// slots draws a value for each slot.
func (d cacheDomain) slots(r *rand.Rand) map[string]string {
	one := func(list []string) string { return list[r.IntN(len(list))] }
	two := func(list []string) (string, string) {
		i := r.IntN(len(list))
		return list[i], list[(i+1+r.IntN(len(list)-1))%len(list)]
	}
	s := map[string]string{"noun": one(d.nouns), "role": one(d.roles), "month": one(cacheWords(cacheMonths)), "unit": one(cacheWords("days weeks hours months")),
		"year": one(cacheWords("1987 1994 2003 2011 2019 2024")), "day": one(cacheWords("2 5 9 14 21 28")), "n": one(cacheWords("3 12 48 1000 2500 12000 1250000")),
		"adj": one(cacheWords("better cheaper safer larger older faster")), "version": one(cacheWords("2.1 3.4 7.2 10.6"))}
	s["verb"], s["verb2"] = two(d.verbs)
	s["name"], s["name2"] = two(d.names)
	s["person"], s["person2"] = two(cacheWords("Alice Marco Priya Ingrid Tunde Bob"))
	s["city"], s["city2"] = two(cacheWords("Paris Madrid Vienna Prague Hamburg Turin"))
	listed, held := cacheOpposites(false), cacheOpposites(true)
	o, h := listed[r.IntN(len(listed))], held[r.IntN(len(held))]
	s["opp"], s["anti"], s["heldanti"], s["heldopp"], s["heldother"] = o[0], o[1], h[1], h[0], h[1]
	s["verbed"] = cachePast(s["verb"])
	return s
}

const cacheMonths = "January February March April May June July August September October November December"

func cacheWords(list string) []string { return strings.Fields(list) }

// cachePast is the past of a regular verb of the domains.
func cachePast(verb string) string {
	doubled := map[string]string{"transfer": "transferred", "map": "mapped", "submit": "submitted", "wrap": "wrapped", "ship": "shipped", "freeze": "froze"}
	switch {
	case doubled[verb] != "":
		return doubled[verb]
	case strings.HasSuffix(verb, "e"):
		return verb + "d"
	case strings.HasSuffix(verb, "y"):
		return verb[:len(verb)-1] + "ied"
	}
	return verb + "ed"
}

// fillSlots puts values into a wording, with a capital in front.
func fillSlots(text string, slots map[string]string) string {
	for name, value := range slots {
		text = strings.ReplaceAll(text, "{"+name+"}", value)
	}
	return strings.ToUpper(text[:1]) + text[1:]
}

// cacheSenses are pairs of questions that a list of synonyms, a dropped word or a
// folded case would make one: words with two senses, names that are words too.
const cacheSenses = `
What is the price of orange?|What is the price of Orange?
What is a blackberry made of?|What is a BlackBerry made of?
How old is the sun?|How old is The Sun?
Does it bother us in Europe?|Does it bother US in Europe?
What does WHO recommend?|What does who recommend?
Who wrote it?|Who wrote It?
How do I polish a table?|How do I Polish a table?
How much does a mustang weigh?|How much does a Mustang weigh?
What is film made of?|What is a movie made of?
What is due to Bob?|What is because of Bob?
How do I say thank you?|How do I say cheers?
How do I say please in French?|How do I say in French?
How do I treat people kindly?|How do I treat people?
Let me know when the parcel arrives.|When does the parcel arrive?
Tell me if the server stops.|Does the server stop?
Remind me why I left.|Why did I leave?
What does the error log in production say?|What does the error sign in production say?
Who is a king of Spain?|Who is the king of Spain?
What is man?|What is the man?
How do I fix the shelf to the wall?|How do I repair the shelf to the wall?
Why is a smart phone useful?|Why is an intelligent phone useful?
What is new in Go 1.2?|What is new in Go 1.20?
Who is agent 007?|Who is agent 7?
Is 1.000 enough for the trip?|Is 1000 enough for the trip?
What is 5 G good for?|What is 5 g good for?
How fast is 5 Mb per second?|How fast is 5 MB per second?
What is 3!|What is 3?
What is the domain of [0,1)?|What is the domain of (0,1)?
Who is following Bob?|Who is followed by Bob?
What is eating the cat?|What is the cat eating?
Who did Alice hire?|Who hired Alice?
Why must I not pay?|Why do I not have to pay?
How do you store data?|How do I store data?
What do you call it?|What do I call it?
How could I know?|How should I know?
What does C do?|What does C++ do?
Who can only watch?|Who only can watch?
Is a friend of Alice from the club of Bob here?|Is a friend of Bob from the club of Alice here?
What did the students in schools with teachers from France say?|What did the students from France in schools with teachers say?
Where is the man with the dog in the park?|Where is the dog with the man in the park?
Do few users agree?|Do a few users agree?
How many is a couple?|How many is the couple?
When is May 5?|When is March 5?
What happened on 03/04/2024?|What happened on 04/03/2024?
Is the shop open at 5 am?|Is the shop open at 5 pm?
What is $5 worth?|What is €5 worth?
Which plants need water?|Which plant needs water?
Who was not invited by Bob?|Who was invited not by Bob?
What does read_file do?|What does readfile do?
What is the way to work?|How do I work?
How do I look?|How can I look?
How could I forget it?|How do I forget it?
What is on the about page?|What is on the regarding page?
By 1990, who said he would leave?|Who said he would leave by 1990?
While eating, who saw the cat?|Who saw the cat while eating?
From Paris, who called the man?|Who called the man from Paris?
Before she left, did Bob promise to call?|Did Bob promise to call before she left?
How do I compare to Bob?|How can I compare to Bob?
Who is Bob's boss's wife?|Who is Bob's wife's boss?`

// cacheSensePairs are those, both ways.
func cacheSensePairs() []cachePair {
	var out []cachePair
	for line := range strings.Lines(cacheSenses) {
		a, b, ok := strings.Cut(strings.TrimSpace(line), "|")
		if !ok {
			continue
		}
		p := cachePair{kind: "two senses", a: a, b: b, meaning: a, other: b}
		p.domain = "senses 1"
		out = append(out, p)
		p.a, p.b, p.meaning, p.other, p.domain = b, a, b, a, "senses 2"
		out = append(out, p)
	}
	return out
}

// cachePairs makes the pairs, in order of domain, shape and sample.
func cachePairs(r *rand.Rand) []cachePair {
	out := append(cacheSensePairs(), cacheTrapPairs()...)
	for _, d := range cacheDomains() {
		for _, shape := range cacheShapes() {
			for range cacheSamples {
				out = append(out, shape.pairs(r, d)...)
			}
		}
	}
	return out
}

// pairs makes the pairs of one question. Its meaning is the question itself, plain.
func (s cacheShape) pairs(r *rand.Rand, d cacheDomain) []cachePair {
	slots := d.slots(r)
	base := fillSlots(s.text, slots)
	var out []cachePair
	add := func(kind, text, meaning string, held, easy bool) {
		if text != base {
			out = append(out, cachePair{domain: d.name, kind: kind, a: base, b: text, meaning: base, other: meaning, heldOut: held, easy: easy})
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(s.same)) {
		add(kind, fillSlots(s.same[kind], slots), base, false, cacheEasy(kind))
	}
	for _, kind := range slices.Sorted(maps.Keys(s.traps)) {
		text := fillSlots(s.traps[kind], slots)
		add(kind, text, text, false, false)
	}
	for _, kind := range slices.Sorted(maps.Keys(s.held)) {
		text := fillSlots(s.held[kind], slots)
		add(kind, text, text, true, false)
	}
	s.addSwaps(r, d, slots, func(kind, text string) { add(kind, text, text, false, false) })
	for range 2 {
		text := scramble(r, base)
		add("scramble", text, text, true, false)
	}
	for _, form := range cacheForms(r, base) {
		add(form[0], form[1], base, false, true)
	}
	for _, form := range cacheTypography(base) {
		add(form[0], form[1], base, false, false)
		out[len(out)-1].typography = true
	}
	return out
}

// cacheEasy are the kinds of paraphrase that leave the words of the question.
func cacheEasy(kind string) bool {
	return slices.Contains([]string{"phrase", "how to", "contraction", "spelling", "date", "front", "order", "what"}, kind)
}

// addSwaps makes the traps that put another value in a slot, or exchange two.
func (s cacheShape) addSwaps(r *rand.Rand, d cacheDomain, slots map[string]string, add func(kind, text string)) {
	other := d.slots(r)
	kinds := map[string]string{"n": "number", "unit": "unit", "month": "month", "year": "year", "day": "day", "name": "entity", "person2": "person",
		"city": "place", "noun": "noun", "version": "version", "adj": "comparison", "role": "role"}
	for _, slot := range slices.Sorted(maps.Keys(kinds)) {
		if !strings.Contains(s.text, "{"+slot+"}") || other[slot] == slots[slot] || other[slot] == slots["name2"] || other[slot] == slots["person"] || other[slot] == slots["city2"] {
			continue
		}
		changed := maps.Clone(slots)
		changed[slot] = other[slot]
		add(kinds[slot]+" swap", fillSlots(s.text, changed))
	}
	for _, pair := range s.swaps {
		changed := maps.Clone(slots)
		changed[pair[0]], changed[pair[1]] = slots[pair[1]], slots[pair[0]]
		add("role swap", fillSlots(s.text, changed))
	}
}

// scramble exchanges two words, as the pairs of PAWS do. Those that only build the
// sentence stay, since "what the was price" asks for nothing else, and so do months.
func scramble(r *rand.Rand, base string) string {
	words := strings.Fields(strings.TrimRight(base, "?."))
	i, j := 1+r.IntN(len(words)-1), 1+r.IntN(len(words)-1)
	builds := func(w string) bool {
		return slices.Contains(cacheWords("the a is was are do does did can I to of"), w) || slices.Contains(cacheWords(cacheMonths), w)
	}
	if words[i] == words[j] || builds(words[i]) || builds(words[j]) {
		return base
	}
	words[i], words[j] = words[j], words[i]
	return strings.Join(words, " ") + "?"
}

// cacheTypography writes a question with other capitals, blanks and marks: kind and
// text. These are counted apart, since they are hardly paraphrases.
func cacheTypography(base string) [][2]string {
	return [][2]string{{"no capitals", strings.ToLower(base)}, {"capitals", strings.ToUpper(base)},
		{"no question mark", strings.TrimRight(base, "?.") + " "}, {"blanks", "  " + strings.ReplaceAll(base, " ", "  ") + "\n"}}
}

// cacheForms writes a question with words around it, and its numbers in other
// forms: kind and text.
func cacheForms(r *rand.Rand, base string) [][2]string {
	prefixes := []string{"Hi, ", "Hello there! ", "Quick question: ", "Please help: ", "Hey team, "}
	suffixes := []string{" Thanks!", " Thank you in advance.", " Please.", " Cheers", " Many thanks in advance!"}
	lower := strings.ToLower(base[:1]) + base[1:]
	forms := [][2]string{
		{"greeting", prefixes[r.IntN(len(prefixes))] + lower}, {"thanks", base + suffixes[r.IntN(len(suffixes))]},
	}
	numbers := map[string][]string{"1000": {"1,000", "one thousand"}, "2500": {"2,500"}, "12000": {"12,000", "12 thousand"}, "1250000": {"1,250,000", "1.25 million"}, "12": {"twelve"}, "3": {"three"}, "48": {"forty-eight"}}
	words := strings.Fields(base)
	for i, w := range words {
		if others := numbers[w]; others != nil && i > 0 {
			changed := slices.Clone(words)
			changed[i] = others[r.IntN(len(others))]
			forms = append(forms, [2]string{"number format", strings.Join(changed, " ")})
			break
		}
	}
	return forms
}
