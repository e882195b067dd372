package paraphrase

import (
	"strings"
	"sync"
)

// tables are the lists that Differ knows. Those that make two texts equal are
// short on purpose; the others only name the reason of a difference.
type tables struct {
	english, foreign map[string]bool // words that tell the language

	contractions map[string][]string
	greetings    map[string]bool // phrases without content
	frames       map[string]bool // phrases that ask for an answer
	wondering    map[string]bool // those of them before which "when" and "if" begin a question
	asks         map[string]bool // words a question begins with
	thanks       map[string]bool // phrases at the end without content
	counted      map[string]bool // words before which "the" says something
	mentions     map[string]bool // words of questions about words
	countable    map[string]bool // nouns that need a determiner
	determiners  map[string]bool
	states       map[string]bool   // verbs before which "how do I" is not "how to"
	reports      map[string]bool   // words behind which no clause is moved
	same         map[string]string // a phrase and what stands for it
	endings      map[string]string // British and American
	past         map[string]string // of irregular verbs
	helpers      map[string]bool
	focus        map[string]bool // words that say something of the one behind them
	fronts       map[string]bool // words that begin a clause which may stand in front
	markers      map[string]bool // words that end a place name

	numbers     []string // zero to nineteen
	tens        []string
	multipliers map[string]int64 // zeros
	ordinals    map[string]string
	units       map[string]string // as words behind a number
	attached    map[string]string // as written at a number; their case counts
	currencies  map[string]string
	months      map[string]int
	weekdays    map[string]string

	alsoNames map[string]bool // words that are names when they have a capital

	relative, pointers, spans, now map[string]bool
	relativeParts                  []string // in scripts without blanks

	negations, scopes, comparing, questions map[string]bool
	opposites                               map[string]bool // "a b" and "b a"
}

var lexicon = sync.OnceValue(newTables) //nolint:gochecknoglobals // tables, never written

func newTables() *tables {
	t := &tables{
		english: set(englishWords), foreign: set(foreignWords),
		greetings: phrases(greetings), frames: frames(), asks: set(questionWords + " if whether"), thanks: phrases(thanks),
		wondering: phrases(wondering),
		counted:   set("few little number point"), mentions: set(mentions), countable: set(countable), determiners: set(determiners),
		states: set(states), reports: set(reports),
		same: synonyms(), endings: map[string]string{"ise": "ize", "ised": "ized", "ises": "izes", "ising": "izing", "isation": "ization", "isations": "izations"},
		past: pairs(irregular), helpers: set("is are am was were can could will would should must may might has have had shall"),
		focus:  set("only even just also"),
		fronts: set("in on at during before after since until when while if because for under within as by"),
		markers: set(`of in on at to from by for with without about between among through into over under above below before after
			during since until across behind near than as per via within because if unless while although whether and or but that
			who what when where why how howto`),
		numbers: strings.Fields(`zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
			seventeen eighteen nineteen`),
		tens:        strings.Fields("- - twenty thirty forty fifty sixty seventy eighty ninety"),
		multipliers: map[string]int64{"hundred": 2, "thousand": 3, "million": 6, "billion": 9, "trillion": 12},
		ordinals: pairs(`1st first 2nd second 3rd third 4th fourth 5th fifth 6th sixth 7th seventh 8th eighth 9th ninth 10th tenth
			11th eleventh 12th twelfth`),
		units: units(), attached: attached(), currencies: map[string]string{"$": "dollar", "€": "euro", "£": "£", "¥": "¥"},
		months: months(), weekdays: weekdays(), alsoNames: set(alsoNames),
		relative: set(relativeWords), now: phrases(nowQuestions), pointers: set("this last next past coming previous"),
		spans: set(`week weekend month year quarter day morning afternoon evening night hour minute summer winter spring autumn fall
			season semester decade century monday tuesday wednesday thursday friday saturday sunday january february march april may
			june july august september october november december time`),
		relativeParts: strings.Fields("今日 今天 昨日 昨天 明日 明天 現在 现在 最新 今年 去年 오늘 어제 내일 지금 올해 วันนี้ พรุ่งนี้ เมื่อวาน"),
		negations: set(`not no never none nobody nothing nowhere neither nor without cannot except excluding unless hardly barely scarcely
			lack lacks lacking instead`),
		scopes:    set("all any some every each only most many much few several both either half always sometimes often usually just exactly entire whole every everyone anyone someone"),
		comparing: set("more less fewer least better worse best worst than before after above below over under greater larger smaller earlier later higher lower"),
		questions: set(questionWords),
		opposites: map[string]bool{},
	}
	t.contractions = contractions()
	words := strings.Fields(opposites)
	for i := 0; i+1 < len(words); i += 2 {
		t.opposites[words[i]+" "+words[i+1]], t.opposites[words[i+1]+" "+words[i]] = true, true
	}
	return t
}

func set(words string) map[string]bool {
	s := map[string]bool{}
	for _, w := range strings.Fields(words) {
		s[w] = true
	}
	return s
}

// pairs reads words two by two.
func pairs(words string) map[string]string {
	m := map[string]string{}
	list := strings.Fields(words)
	for i := 0; i+1 < len(list); i += 2 {
		m[list[i]] = list[i+1]
	}
	return m
}

// phrases reads one phrase a line.
func phrases(lines string) map[string]bool {
	s := map[string]bool{}
	for line := range strings.Lines(lines) {
		if line = strings.TrimSpace(line); line != "" {
			s[line] = true
		}
	}
	return s
}

// frames builds the phrases that ask for an answer.
func frames() map[string]bool {
	s := phrases(fixedFrames + wondering)
	for _, modal := range []string{"can", "could", "would", "will"} {
		for _, polite := range []string{"", "please ", "kindly "} {
			for _, verb := range strings.Split(tellVerbs, ",") {
				s[modal+" you "+polite+verb] = true
			}
		}
		s[modal+" i ask"] = true
	}
	for _, want := range []string{"would like", "want", "need", "wish", "would love"} {
		for _, know := range []string{"know", "find out", "understand", "learn", "ask"} {
			s["i "+want+" to "+know] = true
		}
	}
	for _, verb := range strings.Split(tellVerbs, ",") {
		s[verb], s["please "+verb], s["kindly "+verb] = true, true, true
	}
	return s
}

// synonyms reads groups, one a line; the first of each stands for the others.
func synonyms() map[string]string {
	m := map[string]string{}
	for line := range strings.Lines(sameMeaning) {
		group := strings.Split(strings.TrimSpace(line), ", ")
		for _, other := range group[1:] {
			m[other] = group[0]
		}
	}
	for british, american := range pairs(spellings) {
		m[british] = american
	}
	return m
}

func contractions() map[string][]string {
	m := map[string][]string{}
	for line := range strings.Lines(shortForms) {
		if words := strings.Fields(line); len(words) > 1 {
			m[words[0]] = words[1:]
		}
	}
	return m
}

func units() map[string]string {
	m := map[string]string{}
	for line := range strings.Lines(unitNames) {
		group := strings.Fields(line)
		for _, name := range group {
			m[name] = group[0]
		}
	}
	return m
}

func attached() map[string]string {
	m := pairs(`km km m m cm cm mm mm mi mi ft ft in inch kg kg g g mg mg lb lb lbs lb oz oz l l L l ml ml mL ml h h hr h hrs h min min s s
		sec s ms ms kW kW MW MW kWh kWh GB GB MB MB KB KB TB TB kB KB GHz GHz MHz MHz °C °C °F °F`)
	m["%"] = "percent"
	return m
}

func months() map[string]int {
	m := map[string]int{"sept": 9}
	for i, name := range strings.Fields("january february march april may june july august september october november december") {
		m[name], m[name[:3]] = i+1, i+1
	}
	return m
}

func weekdays() map[string]string {
	m := map[string]string{"tues": "tuesday", "thurs": "thursday", "thur": "thursday"}
	for _, name := range strings.Fields("monday tuesday wednesday thursday friday saturday sunday") {
		m[name], m[name[:3]] = name, name
	}
	return m
}
