package paraphrase

import (
	"testing"
)

func TestSame(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string][2]string{
		"punctuation":     {"What is the capital of France?", "what is the capital of France"},
		"contraction":     {"What's the capital of France?", "What is the capital of France?"},
		"polite":          {"Could you please tell me what the capital of France is?", "What is the capital of France?"},
		"thanks":          {"Hi there, what is the capital of France? Thanks in advance!", "What is the capital of France?"},
		"all lower":       {"what is the capital of france", "What is the capital of France?"},
		"how to":          {"How do I reset my password?", "How can I reset my password?"},
		"how to, frame":   {"How to reset my password", "I would like to know how to reset my password."},
		"third person":    {"Where does the train stop?", "Do you know where the train stops?"},
		"past":            {"When did the war end?", "Do you know when the war ended?"},
		"irregular past":  {"When did Rome fall?", "I was wondering when Rome fell."},
		"front":           {"In 1990, who led the party?", "Who led the party in 1990?"},
		"front, when":     {"When the server restarts, how do I keep the logs?", "How do I keep the logs when the server restarts?"},
		"thousands":       {"Is 1,000 km far?", "Is 1000 kilometres far?"},
		"attached unit":   {"Can I lift 5kg?", "Can I lift 5 kilograms?"},
		"words of number": {"What are the twenty-five largest cities?", "What are the 25 largest cities?"},
		"million":         {"How can I save 2.5 million dollars?", "How can I save $2,500,000?"},
		"percent":         {"What is 10% of 50?", "What is 10 percent of 50?"},
		"date":            {"What happened on March 5, 2024?", "What happened on 5th of March 2024?"},
		"iso date":        {"What happened on 2024-03-05?", "What happened on 5 March 2024?"},
		"time":            {"Is the shop open at 5pm?", "Is the shop open at 5 p.m.?"},
		"spelling":        {"What colour is the centre?", "What color is the center?"},
		"synonym":         {"Where can I buy a car?", "Where can I purchase an automobile?"},
		"to buy":          {"Is it better to purchase it?", "Is it better to buy it?"},
		"jan 2024":        {"what did we sell in jan 2024?", "What did we sell in January 2024?"},
		"from to":         {"How long is the flight to Rome from Paris?", "How long is the flight from Paris to Rome?"},
		"yes or no":       {"Does the shop open on Sunday?", "Could you tell me whether the shop opens on Sunday?"},
		"no apostrophe":   {"Why doesnt the build pass?", "Why doesn't the build pass?"},
		"US":              {"Who governs the US?", "Who governs the United States?"},
		"the ... of":      {"What is the capital of France?", "What is capital of France?"},
		"the, indirect":   {"Could you tell me what the capital of France is?", "What is capital of France?"},
		"in Jan":          {"What happened in Jan?", "What happened in January?"},
		"on Sat":          {"Is the shop open on Sat?", "Is the shop open on Saturday?"},
		"Jan 2024":        {"What did we sell in Jan 2024?", "What did we sell in January 2024?"},
		"day, short":      {"What happened on 5 Jan 2024?", "What happened on January 5, 2024?"},
		"how do I spell":  {"How do I spell it?", "How can I spell it?"},
		"what's, word":    {"What's the longest word?", "What is the longest word?"},
		"German":          {"Wie hoch ist der Eiffelturm?", "wie hoch ist der Eiffelturm"},
		"Japanese":        {"日本の首都は？", "日本の首都は"},
	} {
		if reason := Differ(tt[0], tt[1]); reason != "" {
			t.Errorf("%s: %q and %q differ by %s: %v, %v", name, tt[0], tt[1], reason, read(tt[0], true), read(tt[1], true))
		}
		if reason := Differ(tt[1], tt[0]); reason != "" {
			t.Errorf("%s: not symmetric: %s", name, reason)
		}
	}
}

func TestDiffer(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ a, b, want string }{
		"not":              {"Can I use it?", "Can I not use it?", ReasonPolarity},
		"n't":              {"Why does it work?", "Why doesn't it work?", ReasonPolarity},
		"never":            {"When do I restart it?", "When do I never restart it?", ReasonPolarity},
		"without":          {"How do I build with tests?", "How do I build without tests?", ReasonPolarity},
		"un":               {"Is it the safe way?", "Is it the unsafe way?", ReasonPolarity},
		"antonym":          {"How do I enable the firewall?", "How do I disable the firewall?", ReasonPolarity},
		"unlisted antonym": {"What makes the dough rise?", "What makes the dough sink?", ReasonWords},
		"number":           {"What is 12 times 4?", "What is 12 times 5?", ReasonNumber},
		"grouped":          {"Is 1,000 enough for the trip?", "Is 10,000 enough for the trip?", ReasonNumber},
		"ambiguous group":  {"Is 1.000 enough for the trip?", "Is 1000 enough for the trip?", ReasonNumber},
		"version":          {"What is new in Python 3.1?", "What is new in Python 3.10?", ReasonNumber},
		"zeros":            {"Who is agent 007?", "Who is agent 7?", ReasonNumber},
		"unit":             {"Can I run 5 km?", "Can I run 5 miles?", ReasonNumber},
		"unit, case":       {"What is 5MB?", "What is 5Mb?", ReasonNumber},
		"currency":         {"What can I buy for $5?", "What can I buy for €5?", ReasonNumber},
		"sign":             {"What is the root of -4?", "What is the root of 4?", ReasonNumber},
		"factorial":        {"What is 5!", "What is 5", ReasonNumber},
		"interval":         {"What does [0,1] mean?", "What does (0,1) mean?", ReasonNumber},
		"month":            {"What happened in March 1999?", "What happened in May 1999?", ReasonDate},
		"weekday":          {"Is the shop open on Monday?", "Is the shop open on Sunday?", ReasonDate},
		"year":             {"Who won in 1998?", "Who won in 1999?", ReasonNumber},
		"entity":           {"Who is the mayor of Paris?", "Who is the mayor of Lyon?", ReasonEntity},
		"rare word":        {"How do I feed a ferret?", "How do I feed a weasel?", ReasonWords},
		"identifier":       {"What does read_file do?", "What does write_file do?", ReasonEntity},
		"C":                {"How do I learn C?", "How do I learn C++?", ReasonEntity},
		"email":            {"Who is a@example.com?", "Who is b@example.com?", ReasonEntity},
		"case":             {"What is the price of apple?", "What is the price of Apple?", ReasonEntity},
		"capitals":         {"Does it concern us in Europe?", "Does it concern US in Europe?", ReasonWords},
		"quotation":        {`What does "Yes" mean in it?`, `What does "yes" mean in it?`, ReasonEntity},
		"question word":    {"Who built the bridge?", "When built the bridge?", ReasonQuestion},
		"statement":        {"Do I need a visa?", "I need a visa.", ReasonQuestion},
		"how many":         {"How many people live in Rome?", "How much people live in Rome?", ReasonScope},
		"all":              {"Are all birds able to fly?", "Are some birds able to fly?", ReasonScope},
		"only":             {"Can admins delete it?", "Can only admins delete it?", ReasonScope},
		"a few":            {"Why do few users agree?", "Why do a few users agree?", ReasonWords},
		"order":            {"Did Alice pay Bob?", "Did Bob pay Alice?", ReasonOrder},
		"before":           {"Do I stir before I bake?", "Do I bake before I stir?", ReasonOrder},
		"before, after":    {"Do I stir before baking?", "Do I stir after baking?", ReasonPolarity},
		"than":             {"Is Rome larger than Paris?", "Is Paris larger than Rome?", ReasonOrder},
		"from to":          {"Are there flights from Rome to Paris?", "Are there flights from Paris to Rome?", ReasonOrder},
		"attachment":       {"the students in schools with teachers from France", "the students from France in schools with teachers", ReasonOrder},
		"voice":            {"Who is following Bob?", "Who is followed by Bob?", ReasonWords},
		"who whom":         {"Who did Alice hire?", "Who hired Alice?", ReasonTense},
		"tense":            {"Who is the king of Spain?", "Who was the king of Spain?", ReasonTense},
		"modal":            {"Should I delete it?", "Can I delete it?", ReasonTense},
		"singular":         {"What is the best phone?", "What is the best phones?", ReasonTense},
		"must not":         {"Why must I not pay?", "Why do I not have to pay?", ReasonWords},
		"you, I":           {"How do you process payments?", "How do I process payments?", ReasonQuestion},
		"my, your":         {"What is my name?", "What is your name?", ReasonWords},
		"German":           {"Wie hoch ist der Eiffelturm?", "Wie hoch ist der Fernsehturm?", ReasonText},
		"German case":      {"Haben wir gute Reisen?", "Haben wir gute reisen?", ReasonText},
		"German negation":  {"Darf ich das essen?", "Darf ich das nicht essen?", ReasonText},
		"Chinese negation": {"我可以吃这个吗？", "我不可以吃这个吗？", ReasonText},
		"Arabic digits":    {"كم سعر ٥ كتب؟", "كم سعر ٦ كتب؟", ReasonText},
		"superscript":      {"2² = ?", "22 = ?", ReasonText},
		"invalid":          {"what is \xff?", "what is \xfe?", ReasonText},
		"a, the":           {"Who is a king of Spain?", "Who is the king of Spain?", ReasonWords},
		"notify":           {"When does the package arrive?", "Tell me when the package arrives.", ReasonWords},
		"say thanks":       {"How do I say thanks?", "How do I say please?", ReasonWords},
		"kindly":           {"How do I treat people kindly?", "How do I treat people?", ReasonWords},
		"error log":        {"What does the error log in it say?", "What does the error sign in it say?", ReasonWords},
		"film":             {"What is film made of?", "What is movie made of?", ReasonWords},
		"due to":           {"When is the payment due to Bob?", "When is the payment because of Bob?", ReasonWords},
		"5 G":              {"What is 5 G good for?", "What is 5 g good for?", ReasonNumber},
		"scare quotes":     {`Who are the "winners" of it?`, "Who are the winners of it?", ReasonEntity},
		"say please":       {"How do I say please in French?", "How do I say in French?", ReasonWords},
		"only, moved":      {"Who can only watch?", "Who only can watch?", ReasonOrder},
		"nothing":          {"please", "thanks", ReasonText},
		"hello":            {"How do I write it? Hello world", "How do I write it? World", ReasonWords},
		"way to work":      {"What is the way to work?", "How do I work?", ReasonQuestion},
		"how do I look":    {"How do I look?", "How can I look?", ReasonTense},
		"how could I":      {"How could I forget it?", "How do I forget it?", ReasonQuestion},
		"about page":       {"What is on the about page?", "What is on the regarding page?", ReasonWords},
		"said by":          {"By 1990, who said he would leave?", "Who said he would leave by 1990?", ReasonOrder},
		"promise":          {"Before she left, did Bob promise to call?", "Did Bob promise to call before she left?", ReasonQuestion},
		"if, when":         {"If I call, can I see when it ends?", "Can I see when it ends if I call?", ReasonQuestion},
		"while eating":     {"While eating, who saw the cat?", "Who saw the cat while eating?", ReasonOrder},
		"from Paris":       {"From Paris, who called the man?", "Who called the man from Paris?", ReasonOrder},
		"proof of work":    {"What is the proof of work?", "What is proof of work?", ReasonWords},
		"undetermined":     {"Who made up photo?", "Who made up photograph?", ReasonWords},
		"have to":          {"How long do I have to pay?", "How long do I need to pay?", ReasonWords},
		"time to":          {"How many days do I have to return an item?", "How many days do I need to return an item?", ReasonWords},
		"money to":         {"How much money do I have to spend?", "How much money do I need to spend?", ReasonWords},
		"has to offer":     {"What does Paris have to offer?", "What does Paris need to offer?", ReasonWords},
		"the time":         {"What is the time?", "What is time?", ReasonWords},
		"the matter":       {"What is the matter?", "What is matter?", ReasonWords},
		"the capital":      {"What is the capital?", "What is capital?", ReasonWords},
		"the interest":     {"What is the interest in this loan?", "What is interest in this loan?", ReasonWords},
		"in the office":    {"Who was in the office in 1990?", "Who was in office in 1990?", ReasonWords},
		"the question":     {"Why is it out of the question?", "Why is it out of question?", ReasonWords},
		"the man":          {"What is the man?", "What is man?", ReasonWords},
		"in the case of":   {"What do I do in the case of fire?", "What do I do in case of fire?", ReasonWords},
		"the point of":     {"What is the point of sale?", "What is point of sale?", ReasonWords},
		"SAT":              {"When is the SAT?", "When is the Saturday?", ReasonDate},
		"SAT, no the":      {"When is SAT?", "When is Saturday?", ReasonDate},
		"APR":              {"What is the average APR?", "What is the average April?", ReasonDate},
		"SUN":              {"Who founded SUN?", "Who founded Sunday?", ReasonDate},
		"Jan":              {"Who is Jan?", "Who is January?", ReasonDate},
		"on Sun":           {"How do I run it on Sun servers?", "How do I run it on Sunday servers?", ReasonDate},
		"in DEC":           {"What is new in DEC 5?", "What is new in December 5?", ReasonNumber},
		"spell":            {"How do you spell colour?", "How do you spell color?", ReasonWords},
		"letters":          {"How many letters are in photo?", "How many letters are in photograph?", ReasonWords},
		"letters, number":  {"How many letters are in twelve?", "How many letters are in 12?", ReasonNumber},
		"letters, short":   {"How many letters are in can't?", "How many letters are in cannot?", ReasonPolarity},
		"difference":       {"What is the difference between photo and video?", "What is the difference between photograph and video?", ReasonWords},
		"commence":         {"What is the difference between start and commence?", "What is the difference between begin and commence?", ReasonWords},
		"SQL":              {"What does info do in SQL?", "What does information do in SQL?", ReasonWords},
		"select":           {"What does select do in SQL?", "What does choose do in SQL?", ReasonWords},
		"quick ratio":      {"What is the quick ratio?", "What is the fast ratio?", ReasonWords},
		"rapid transit":    {"What is rapid transit?", "What is fast transit?", ReasonWords},
		"fast charging":    {"What is fast charging?", "What is quick charging?", ReasonWords},
		"permit process":   {"What is the permit process?", "What is the allow process?", ReasonWords},
		"till":             {"Where is the till?", "Where is the until?", ReasonWords},
		"big data":         {"What is big data?", "What is large data?", ReasonWords},
		"start menu":       {"Where is the start menu?", "Where is the begin menu?", ReasonWords},
		"buy order":        {"What is a buy order?", "What is a purchase order?", ReasonWords},
		"sick leave":       {"What is sick leave?", "What is ill leave?", ReasonWords},
		"repo":             {"What is a repo?", "What is a repository?", ReasonWords},
		"Labour":           {"Who leads Labour?", "Who leads Labor?", ReasonEntity},
		"ampersand":        {"What does & do in C?", "What does and do in C?", ReasonWords},
		"work from home":   {"How do I get to work from home?", "How do I get from home to work?", ReasonOrder},
	} {
		if reason := Differ(tt.a, tt.b); reason != tt.want {
			t.Errorf("%s: %q and %q differ by %q, want %q: %v, %v", name, tt.a, tt.b, reason, tt.want, read(tt.a, true), read(tt.b, true))
		}
		if reason := Differ(tt.b, tt.a); reason == "" {
			t.Errorf("%s: not symmetric", name)
		}
	}
}

func TestRelative(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"What is the weather today?":       true,
		"Who won last week?":               true,
		"What is the LATEST version?":      true,
		"Wie ist das Wetter heute?":        true,
		"今日の天気は？":                          true,
		"What is the time?":                true,
		"What's the time in Tokyo?":        true,
		"Do you know what time it is?":     true,
		"How is the weather?":              true,
		"What is the time complexity?":     false,
		"What is the date of the battle?":  false,
		"Who won in 1998?":                 false,
		"What is the last word of Hamlet?": false,
		"":                                 false,
	} {
		if got := Relative(text); got != want {
			t.Errorf("%q: %t, want %t", text, got, want)
		}
	}
}

func FuzzDiffer(f *testing.F) {
	for _, s := range [][2]string{{"", ""}, {"n't do \"x", "5 am on 5 May"}, {"-5,000 million km", "in, to from x"}, {"\xff", "日本"}, {"please tell me if", "do do do"}} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		if Differ(a, a) != "" {
			t.Errorf("%q differs from itself", a)
		}
		if (Differ(a, b) == "") != (Differ(b, a) == "") {
			t.Errorf("%q, %q: not symmetric", a, b)
		}
		// A digit more is another number.
		if got := Differ(a, a+" 7"); got == "" {
			t.Errorf("%q: a number more makes no difference", a)
		}
		Relative(a)
	})
}
