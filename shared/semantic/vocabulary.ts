/** Words of English by what they do in a sentence. Everything not named here carries meaning. */

const set = (words: string) => new Set(words.split(' '))

/** Carry nothing that an answer depends on, once `asks` and `tense` are read. */
export const IGNORED = set(
  'a an the i me we us you my our it its this that there here do does did is are was were am be been being have has had can could would will shall may might ' +
    "'m 're 've 'll 'd 's so also then just really actually exactly please kindly",
)

/** Begin a phrase, and belong to it. */
export const LINKS = set(
  'of in on at for with by about as from to into onto before after over under above below between within until till since via per through during ' +
    'and or but if unless because while when than using without against among across around near versus vs like except instead only not no never',
)
/** Between a thing and what it belongs to. */
export const LINKING = set('of in')
export const NEGATIONS = set('not no never without unless none neither nor')
export const MODALITY = set('should must ought')
export const PAST = set('was were did had')
export const PRESENT = set('is are am do does has have')
export const FUTURE = set('will shall')
/** Begin a clause, with a verb of its own. */
export const DETERMINERS = set(
  'the a an my your our his her its their this that these those who whom which what each every any all some',
)
export const ADVERBIAL = set('how when where why')
export const ASKING = set('what which who whom whose where when why how')
export const CONJUNCTIONS = set('and or but if unless because while since until after before')
export const TIMES = set('today yesterday tomorrow tonight now currently nowadays')
export const AUXILIARY = set(
  'do does did is are was were can could should would will must may might has have had',
)
export const YES_OR_NO = new Map(
  Object.entries({
    whether: 'do does did is are was were has have had',
    can: 'can could may might',
    will: 'will would shall',
  }).flatMap(([asks, words]) => words.split(' ').map((word) => [word, asks] as const)),
)
export const BE = set('is are was were be been being')

export const NUMBERS = new Map(
  'zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty'
    .split(' ')
    .map((word, i) => [word, String(i)]),
)

/** One name a unit, British and American spellings alike. */
export const UNITS = new Map(
  Object.entries({
    km: 'kilometer kilometers kilometre kilometres kms',
    m: 'meter meters metre metres',
    cm: 'centimeter centimeters centimetre centimetres cms',
    mm: 'millimeter millimeters millimetre millimetres',
    kg: 'kilogram kilograms kilo kilos kgs',
    g: 'gram grams gramme grammes',
    mg: 'milligram milligrams',
    l: 'liter liters litre litres',
    ml: 'milliliter milliliters millilitre millilitres',
    ms: 'millisecond milliseconds msec',
    s: 'second seconds sec secs',
    min: 'minute minutes mins',
    h: 'hour hours hr hrs',
    kb: 'kilobyte kilobytes',
    mb: 'megabyte megabytes',
    gb: 'gigabyte gigabytes',
    tb: 'terabyte terabytes',
    '%': 'percent',
    $: 'dollar dollars usd',
    '€': 'euro euros eur',
    '£': 'gbp',
  }).flatMap(([unit, names]) => names.split(' ').map((name) => [name, unit] as const)),
)

/** Words that are said short as often as whole. */
export const CLIPPED = new Map(
  Object.entries({
    ad: 'advertisement advert',
    admin: 'administrator',
    app: 'application',
    auth: 'authentication',
    avg: 'average',
    bike: 'bicycle',
    cert: 'certificate',
    config: 'configuration',
    db: 'database',
    dept: 'department',
    dev: 'development',
    dir: 'directory',
    doc: 'documentation documents',
    env: 'environment',
    exam: 'examination',
    fridge: 'refrigerator',
    info: 'information',
    lab: 'laboratory',
    max: 'maximum',
    maths: 'mathematics math',
    memo: 'memorandum',
    phone: 'telephone',
    photo: 'photograph',
    plane: 'airplane aeroplane',
    prod: 'production',
    promo: 'promotion promotional',
    ref: 'reference',
    repo: 'repository',
    spec: 'specification',
    stats: 'statistics',
    temp: 'temperature',
    tv: 'television telly',
    versus: 'vs',
    jan: 'january',
    feb: 'february',
    aug: 'august',
    sept: 'september sep',
    oct: 'october',
    nov: 'november',
    dec: 'december',
  }).flatMap(([short, names]) =>
    names.split(' ').flatMap((name) => [[name, short] as const, [`${name}s`, short] as const]),
  ),
)

/** Verbs whose forms no ending tells: every form → the plain one; the last form is the participle. */
const IRREGULAR = (
  'awake-awoke-awoken beat-beaten become-became-become begin-began-begun bend-bent bet-bet bind-bound bite-bit-bitten bleed-bled blow-blew-blown break-broke-broken breed-bred bring-brought ' +
  'build-built burn-burnt buy-bought catch-caught choose-chose-chosen cling-clung come-came-come cost-cost creep-crept cut-cut deal-dealt dig-dug do-done draw-drew-drawn dream-dreamt drink-drank-drunk ' +
  'drive-drove-driven eat-ate-eaten fall-fell-fallen feed-fed feel-felt fight-fought find-found flee-fled fling-flung fly-flew-flown forbid-forbade-forbidden forget-forgot-forgotten forgive-forgave-forgiven ' +
  'freeze-froze-frozen get-got-gotten give-gave-given go-went-gone grind-ground grow-grew-grown hang-hung hear-heard hide-hid-hidden hit-hit hold-held hurt-hurt keep-kept kneel-knelt know-knew-known lay-laid ' +
  'lead-led learn-learnt leave-left lend-lent let-let light-lit lose-lost make-made mean-meant meet-met mow-mown overcome-overcame-overcome pay-paid prove-proven put-put quit-quit read-read ride-rode-ridden ' +
  'ring-rang-rung rise-rose-risen run-ran-run saw-sawn say-said see-saw-seen seek-sought sell-sold send-sent set-set sew-sewn shake-shook-shaken shine-shone shoot-shot show-showed-shown shrink-shrank-shrunk ' +
  'shut-shut sing-sang-sung sink-sank-sunk sit-sat sleep-slept slide-slid smell-smelt sow-sown speak-spoke-spoken spell-spelt spend-spent spill-spilt spin-spun split-split spread-spread spring-sprang-sprung ' +
  'stand-stood steal-stole-stolen stick-stuck sting-stung strike-struck-stricken swear-swore-sworn sweep-swept swell-swollen swim-swam-swum swing-swung take-took-taken teach-taught tear-tore-torn tell-told ' +
  'think-thought throw-threw-thrown understand-understood wake-woke-woken wear-wore-worn weave-wove-woven weep-wept win-won wind-wound withdraw-withdrew-withdrawn write-wrote-written'
)
  .split(' ')
  .map((forms) => forms.split('-'))
export const BASE_FORM = new Map(
  IRREGULAR.flatMap(([base, ...forms]) => forms.map((form) => [form, base!] as const)),
)
export const PARTICIPLES = new Set(IRREGULAR.map((forms) => forms.at(-1)!))
