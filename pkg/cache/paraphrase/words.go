package paraphrase

// The lists, see tables.
const (
	// englishWords are common, and no words of the other large languages in Latin
	// letters.
	englishWords = `the what which who whose whom how why where when does did are can could should would with my your tell
		explain list show give this that these those there their you much many between about should i and of is than not it for`

	// foreignWords are common in other languages and not in English.
	foreignWords = `der das und ist nicht wie wer ein eine einen für mit auf von zu dem den ich wann warum welche welcher kann
		el los las que qué una es por para cómo cuál quién dónde cuándo puede del al le les des est une pour dans avec qui quel
		quelle comment pourquoi où quand je il che di per è della delle gli sono come quando perché quale cosa
		wat het een niet hoe wie waar waarom och att är inte hur vad som på jag jak czy nie jest się gdzie kiedy dlaczego
		não uma os das dos onde bir ve mi nasıl nedir için değil ne saya apa yang tidak dan di bagaimana cum este sunt och`

	questionWords = `who what which when where why how whose whom howto`

	greetings = `
		hi
		hi there
		hello
		hello there
		hey
		hey there
		good morning
		good afternoon
		good evening
		quick question
		out of curiosity
		just curious
		sorry
		excuse me
		please`

	// wondering are frames that can't be a request to be told at that time, as "tell
	// me when the build ends" may be.
	wondering = `
		i was wondering
		i am wondering
		i wonder
		do you know
		do you happen to know
		does anyone know
		does anybody know
		would you happen to know
		any idea
		any ideas
		do you have any idea`

	fixedFrames = `
		i am curious
		may i ask
		might i ask
		i have a question
		i am trying to find out
		i am trying to understand`

	tellVerbs = "tell me,tell us,explain,explain to me,let me know,clarify,help me understand"

	thanks = `
		please
		thanks
		thank you
		thanks a lot
		many thanks
		thanks in advance
		thank you in advance
		thank you very much
		thank you so much
		cheers`

	shortForms = `
		what's what is
		who's who is
		where's where is
		when's when is
		how's how is
		why's why is
		that's that is
		there's there is
		here's here is
		it's it is
		let's let us
		i'm i am
		i'd i would
		i'll i will
		i've i have
		you're you are
		you'll you will
		you've you have
		we're we are
		we'll we will
		we've we have
		they're they are
		they'll they will
		they've they have
		can't can not
		cannot can not
		won't will not
		shan't shall not
		dont do not
		doesnt does not
		didnt did not
		isnt is not
		arent are not
		wasnt was not
		werent were not
		whats what is
		im i am`

	// mentions are words of questions about words or code, in which no word stands
	// for another: "how do you spell colour".
	mentions = `spell spells spelled spelt spelling word words letter letters mean means meaning meanings called difference
		differences synonym synonyms antonym antonyms translate translated translation sql css html regex keyword keywords command
		syntax pronounce pronounced pronunciation rhyme rhymes syllable syllables plural define definition noun verb adjective term
		phrase abbreviation acronym vowel vowels consonants grammar say write written type typed shout stress stressed tense
		etymology etymological etymologically coined scrabble crossword expression slang misspelled language english american
		british french german italian spanish portuguese dutch latin greek russian japanese chinese arabic hindi turkish`

	// countable are words that others stand for only where they are used, with "a",
	// "the", "my" or the like before them: "who coined photo" is of the word. So are the
	// singular nouns among the spellings.
	countable = `car automobile phone telephone photo photograph website admin administrator
		colour color behaviour behavior neighbour neighbor flavour flavor centre center metre meter litre liter theatre theater
		fibre fiber kilometre kilometer catalogue catalog dialogue dialog offence offense licence license aeroplane airplane
		judgement judgment acknowledgement acknowledgment`

	// states are verbs before which "how do I" asks what is so, not what to do.
	states = `look compare rank feel sound seem appear fit differ matter score stand smell sleep know come`

	// reports are words behind which a clause may belong to what is said.
	reports = `say says said ask asks asked tell tells told think thinks thought know knows knew claim claims claimed promise
		promises promised plan plans planned decide decides decided believe believes believed want wants wanted expect expects
		expected hope hopes hoped that`

	determiners = `a an the my your his her its our their this that these those any some each every no which what whose
		another new old own same other many one`

	// nowQuestions are about the time at which they are asked, where nothing more
	// than a place follows.
	nowQuestions = `
		what time is it
		what time it is
		what day is it
		what day it is
		what year is it
		what is the time
		what the time is
		what is the date
		what is the weather
		what is the weather like
		what the weather is like
		how is the weather
		how the weather is`

	// sameMeaning are groups that stand for one another in any question. Words that
	// part ways in some sense ("film" and "movie"), or are part of a term ("quick
	// ratio", "permit process", "select committee"), are not here. Nor is "need to" for
	// "have to": "how long do I have to pay" asks for the time there is.
	sameMeaning = `
		howto, how do i, how can i, how to, how can one, how does one, how am i able to, in what way can i
		can i, am i able to
		who, whom, which person, what person
		what, which
		why, for what reason, for which reason, how come, what is the reason
		where, in what place, in which place, at what place
		how many, what number of
		to, in order to
		about, regarding
		a, an
		log in to, log into, login to, sign in to, sign into
		photo, photograph
		photos, photographs
		toward, towards
		among, amongst
		while, whilst
		percent, per cent
		usa, united states of america, united states, u.s, u.s.a, us
		uk, united kingdom, u.k
		new york city, nyc
		to buy, to purchase
		can i buy, can i purchase
		how do i buy, how do i purchase
		car, automobile
		cars, automobiles
		phone, telephone
		required, mandatory, compulsory
		happen, occur
		happens, occurs
		happened, occurred
		max, maximum
		min, minimum
		info, information
		config, configuration
		docs, documentation
		admin, administrator
		admins, administrators
		tv, television
		email, e-mail
		emails, e-mails
		website, web site, web-site
		kids, children
		vs, versus`

	spellings = `colour color colours colors favourite favorite favourites favorites behaviour behavior behaviours behaviors
		honour honor neighbour neighbor neighbours neighbors flavour flavor flavours flavors humour humor
		centre center centres centers metre meter metres meters litre liter litres liters theatre theater theatres theaters
		fibre fiber fibres fibers kilometre kilometer kilometres kilometers
		catalogue catalog catalogues catalogs dialogue dialog analyse analyze analysed analyzed analysing analyzing
		travelled traveled travelling traveling cancelled canceled cancelling canceling labelled labeled labelling labeling
		modelling modeling modelled modeled defence defense offence offense licence license aluminium aluminum
		aeroplane airplane aeroplanes airplanes jewellery jewelry enrol enroll fulfil fulfill skilful skillful
		ageing aging judgement judgment acknowledgement acknowledgment learnt learned burnt burned organise organize`

	irregular = `be was become became begin began start started break broke bring brought build built buy bought catch caught
		choose chose come came cost cost cut cut do did draw drew drink drank drive drove eat ate fall fell feel felt fight fought
		find found fly flew forget forgot get got give gave go went grow grew have had hear heard hide hid hit hit hold held keep
		kept know knew lead led leave left lend lent let let lose lost make made mean meant meet met pay paid put put read read
		ride rode rise rose run ran say said see saw sell sold send sent set set sing sang sit sat sleep slept speak spoke spend
		spent stand stood steal stole swim swam take took teach taught tell told think thought throw threw understand understood
		wear wore win won write wrote bear bore beat beat bend bent bite bit blow blew freeze froze shoot shot shrink shrank
		sink sank strike struck swear swore sweep swept tear tore wake woke`

	unitNames = `
		km kilometer kilometers kilometre kilometres
		m meter meters metre metres
		cm centimeter centimeters centimetre centimetres
		mm millimeter millimeters millimetre millimetres
		mi mile miles
		ft foot feet
		inch inches
		yd yard yards
		kg kilogram kilograms kilo kilos
		g gram grams
		mg milligram milligrams
		lb lbs
		oz ounce ounces
		l liter liters litre litres
		ml milliliter milliliters millilitre millilitres
		h hour hours hr hrs
		min minute minutes mins
		s second seconds sec secs
		ms millisecond milliseconds
		day days
		week weeks
		month months
		year years yr yrs
		percent
		dollar dollars
		euro euros
		GB gigabyte gigabytes
		MB megabyte megabytes
		KB kilobyte kilobytes
		TB terabyte terabytes`

	// alsoNames are words whose capital makes them another thing.
	alsoNames = `apple us it who may march august turkey china polish amazon shell target java python windows office word excel access
		oracle mercury bush rose will mark bill frank grant art ford orange gap visa chase swift go rust ruby dart spark nice
		reading mobile bath cork japan chile jordan cook god earth sun moon mars meta square stripe slack zoom notion teams
		outlook edge safari chrome opera unity react angular express spring docker aids pat ram rom cat dog ant make less sass
		puppet chef salt ansible jenkins kafka redis nest next flask ember backbone node deno bun page pages numbers keynote
		photos music news maps home watch health wallet galaxy pixel surface fire alexa echo tide dove crest gillette subway
		uber lift bolt lime bird time life people fortune guardian sun star mirror post globe max`

	relativeWords = `today tonight tomorrow yesterday now nowadays currently current presently latest newest recent recently ago
		upcoming lately heute morgen gestern jetzt aktuell aktuelle aktuellen neueste aujourd'hui demain hier maintenant actuel
		actuelle hoy mañana ayer ahora actual oggi domani ieri adesso attuale hoje amanhã ontem agora atual vandaag morgen nu
		сегодня завтра вчера сейчас اليوم غدا الآن أمس आज अभी bugün yarın dün şimdi`

	// opposites only name a reason: any two words that are not the same differ.
	opposites = `increase decrease allow deny allow forbid before after min max enable disable with without start stop open close
		open closed buy sell send receive accept reject first last high low higher lower more less most least hot cold on off
		up down in out push pull import export upload download add remove install uninstall lock unlock login logout public
		private internal external safe dangerous legal illegal possible impossible true false yes no best worst better worse
		win lose advantages disadvantages pros cons above below over under include exclude import export encrypt decrypt
		early late earlier later faster slower cheapest dearest old new young rich poor strong weak hard soft easy difficult
		positive negative credit debit profit loss ascending descending input output read write`
)
