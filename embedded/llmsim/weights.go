package llmsim

import "strings"

// Weights of English words relative to a rare word (1): roughly the word's
// inverse document frequency in general prose damped, in tiers.
// Words that are in no tier weigh weightRare.
const (
	weightStop     = 0.06 // function and question words
	weightFrequent = 0.33 // in about one paragraph of five
	weightCommon   = 0.53 // in about one paragraph of twenty
	weightUsual    = 0.71 // in about one paragraph of fifty
	weightRare     = 1.0
)

// wordWeights is the static table that keeps the embedder stateless: surface
// form in lower case to weight.
var wordWeights = buildWeights(map[float32]string{ //nolint:gochecknoglobals // a table, never written
	weightStop: `
a about above after again against all almost along already also although always am among an and
another any are aren't around as at be because been before being below between both but by can
can't cannot could couldn't did didn't do does doesn't doing don't done down during each either else
ever every few for from further had hadn't has hasn't have haven't having he her here hers herself him
himself his how however i i'm if in into is isn't it it's its itself just least less let like
many may me might mine more most much must my myself neither no nor not now of off often on once one
only onto or other others our ours ourselves out over own per perhaps please quite rather same shall she
should shouldn't since so some somebody someone something sometimes still such than that that's the
their theirs them themselves then there there's therefore these they this those though through thus to
together too toward towards two under until unto up upon us very via was wasn't we well were weren't what
what's whatever when whenever where whereas wherever whether which whichever while who who's whoever
whole whom whose why will with within without won't would wouldn't yes yet you your yours yourself
der das und ist von den dem des mit sich auf für nicht ein eine einer eines einem einen auch als wie wird werden wurde wurden
sind haben bei nach aus zum zur über oder aber durch nur noch kann um im am waren welche welcher welches wer wo wann warum
sie er wir ihr es zu vom bis gegen unter vor seit diese dieser dieses
le la les des du un une et est en dans que qui par sur avec ce cette ces il elle ils sont été au aux ne pas plus quel quelle
el los las del una y que por para con como su sus es fue se lo al más pero cuál qué quién cuándo dónde
il lo gli di che per con non sono è della delle dei nel nella da si come più anche chi quale
o os um uma do da dos das em não na no nas nos ao à qual quem foi het een van dat niet zijn voor met op te aan
s t ve re ll d m got get gets getting tell explain describe give name define mean means meant kind sort`,
	weightFrequent: `
able according across allow allowed allows another application area areas based became become becomes began begin
being best better big bring call called calls case cases cause caused change changed changes come comes
common complete considered contain contains create created day days different does due early easy effect end ended
enough even example examples fact far find first five following form formed forms found four full gave general
generally given gives giving go goes going good great group groups had hand help high higher home
important include included includes including increase instead john keep keeps kept key know known knows large larger
largest last late later lead leading leave led left level life likely line little live local long longer look
lot low lower made main major make makes making man means men modern most move name named names national
near need needed needs never new next none nothing number numbers off old open order original originally
part particular parts past people person place places play point points possible present primary provide provided
provides put range really reason reasons refer referred refers result results right run said say says second see
seen set several show shown side similar simple simply single six small special start started state states
support system systems take taken takes taking term terms thing things think third three time times today took top
total true try turn type types usually use used useful user users uses using various want war
way ways went whole wide without word words work worked works world written year years york`,
	weightCommon: `
accept access account act action added addition additional age ago air alone among amount ancient appear appeared
approach approximately april army art ask asked associated attack august author available average away back bad base battle
basic began behind believe believed benefit black body book books born both british brought build building built
business capital care carried carry central century centuries certain certainly character children choose church cities citizens
city civil class clear close code collection color commonly community company compared concept condition conditions
consider consist consists contained continue continued control cost could countries country county course court
cover culture current currently data date dead deal death decade december decided defined degree depending
described design designed despite determine developed development difference difficult direct directly discovered distance
divided document down earlier earth east eastern economic education effects eight either election elements empire
energy english entire especially established estimated european event events eventually exist existed experience
face factor family famous father february feature features field figure file files final finally fire force forces
foreign formal former forward free friend front function future game games german government greater greatest ground
growth hard head health held history hold house human hundred idea ideas identify image impact
independent individual industry influence information initial initially inside international island issue issues italian itself january job
july june king kingdom labor land language languages law laws learn length letter letters light limited list
living located location london lost lose loses love majority management march mark market material matter means measure
media member members message messages method methods middle miles military million mind minute model moment money month months
mother movement music nation nations natural nature nearly night nine non north northern november object
occur occurred occurs october office official officially oil once operation opposed organization output outside
paper parent particularly party pass passed peace period physical plan plant player political population position
power powerful practice president pressure previous private problem problems process produce produced product production
professional program project property public published purpose quality question questions quickly rate read real received recent
recently record red region related relationship religious remain remained replaced report reported request require required requires
research response rest return returned river role room royal rule rules school science scientific seat section self send
sense sent separate september series served server service services set settings seven share short show significant
size social society soldiers song sound source sources south southern space speak specific standard status step steps stop story
street string strong structure student students study subject success successful sun surface table team technology ten test text
themselves theory thousands title together tool town trade traditional treatment types united
university upper value values version view village vote wanted water west western white win wind wish
woman women wrote young`,
	weightUsual: `
absolute academic achieved active activity actual affect african agreed agreement air airport album alternative american animal animals
announced appearance applied appointed argued arrived article artists aspect assembly attempt attention authority award awarded
band bank beginning behavior border branch bridge broadcast budget buried campaign cancer cell cells center
challenge championship channel charge chief child chinese christian cited claim claimed client coast cold college
commission committee communication complex component computer conducted conflict connected connection constitution construction consumer contact
context contract contributed convention council couple crime crisis critical customer cut daily damage debate decision
declared declined defeated defense demand democratic department depth design detail details device director disease district
dutch economy edge effort element eleven emperor employed environment equal error evidence evolution exchange executive existing
expansion expected experiment express extended failed failure fall famous fast fear federal feet fell female fight film financial
firm fish flow followed food football founded french frequently friends fuel gain gas generation global goal gold
green growing guide half heart heat heavy height hill historical host hours ice income increased
indian industrial input instance institution intended interest internal introduced invented invented involved japanese jewish
joined journal judge killed lake larger latin latter leader leaders league legal length license limit link literature
load location loss machine magazine male map mass master matches maximum meaning medical medieval meeting memory metal
minister minor mission mixed moral motion mountain moved multiple museum native network networks news newspaper novel
offered officer opened opening operating opposition option ordered origin owner page painting parliament path
percent percentage performance person phase phrase planned plants pope popular port possibly potential practices
presence prevent price principle print prior probably processes promote proposed protect protein proved
province queen race radio railway reach reached reaction reality recognized reduce reduced reference reform refused
regular relations release released religion remaining removed representative representatives republic resources respect responsible
revolution rise road roman russian sales sample scale scholars schools science scientist scientists sea season seats secretary
security senate sequence shape ship signal signed situation slightly software solar soon soviet spanish speed spread square
stage star stated station stone strategy style substance suggested supply supported supreme symbol
task tax teacher teachers team temperature territory theme thought throne throughout tradition train training transport travel treaty
tree trial troops unit units unique usage usual variety vehicle victory video visit visual voice wall
weight wife winning winter worker workers writer writing yard`,
})

// buildWeights turns the tiers into one map; a word in several tiers gets the
// lowest weight.
func buildWeights(tiers map[float32]string) map[string]float32 {
	table := make(map[string]float32, 1600)
	for weight, words := range tiers {
		for _, w := range strings.Fields(words) {
			if old, ok := table[w]; !ok || weight < old {
				table[w] = weight
			}
		}
	}
	return table
}

// wordWeight is the static weight of a word in lower case. Numbers are names
// as a rule and weigh as much as rare words; single letters do not.
func wordWeight(word []byte) float32 {
	if w, ok := wordWeights[string(word)]; ok {
		return w
	}
	if len(word) == 1 && (word[0] < '0' || word[0] > '9') {
		return weightFrequent
	}
	return weightRare
}
