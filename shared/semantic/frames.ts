const CONTRACTIONS: [RegExp, string][] = [
  [/\bU\.S\.(?:A\.)?|\bUSA\b|\bUS\b|\bUnited States(?: of America)?\b/g, 'USA'],
  [/\bU\.K\.|\bUnited Kingdom\b/g, 'UK'],
  [/\b(do|does|did|is|are|was|were|could|should|would|have|has|had)nt\b/gi, '$1 not'],
  [/\b(what|where|how|who|that)s\b/gi, '$1 is'],
  [/\bu\b(?!\.)/g, 'you'],
  [/\bpl[sz]\b/gi, 'please'],
  [/\bthx\b/gi, 'thanks'],
  [/\bcan['’]?t\b|\bcannot\b/gi, 'can not'],
  [/\bwon['’]?t\b/gi, 'will not'],
  [/n['’]t\b/gi, ' not'],
  [/\b(what|who|where|when|how|that|there|it|he|she)['’]s\b/gi, '$1 is'],
  [/\b(I)['’]m\b/gi, '$1 am'],
  [/\b(\w+)['’](re|ve|ll|d)\b/gi, "$1 '$2"],
]

export function expand(text: string): string {
  return CONTRACTIONS.reduce((sum, [pattern, by]) => sum.replace(pattern, by), text.normalize('NFKC'))
}

/** `How long is X` asks for the length of X. */
const MEASURES = {
  long: 'length',
  tall: 'height',
  high: 'height',
  far: 'distance',
  old: 'age',
  big: 'size',
  large: 'size',
  deep: 'depth',
  wide: 'width',
  heavy: 'weight',
}

const START = '(^|[.!?,:;]\\s*|\\b(?:and|so) )'
const POLITE = '(?:please |kindly |possibly |perhaps |maybe |just |really |also )*'
const SOMEONE = '(?:i|we|you|one|someone|anyone|a person)'
const ASKS = '(?=what|who|whom|which|where|when|how|why|if\\b|whether)'
const frame = (pattern: string) => new RegExp(START + POLITE + pattern, 'gi')

/** Said around a question and no part of it. In this order, so that one uncovers the next. */
const FRAMES: [RegExp, string][] = [
  [
    /(^|[.!?]\s*)(?:(?:hello|hi|hey|dear|good (?:morning|afternoon|evening|day)|greetings)(?: (?:there|all|team|assistant|everyone|everybody|sir|madam|folks))?[,.! ]+)+/gi,
    '$1',
  ],
  [
    /(^|[.!?,]\s*)(?:(?:many |kind )?thanks?(?: you)?(?: (?:so|very) much| a lot| a million)?(?: in advance)?|(?:with )?(?:kind|best|warm) regards|cheers|much appreciated)(?=\s*[.!,]|\s*$)[.!]*/gi,
    '. ',
  ],
  [
    /(^|[.!?]\s*)(?:excuse me|pardon me|sorry(?: (?:to (?:bother|trouble|disturb) you|for (?:the|any) (?:trouble|bother|inconvenience)))?|if (?:it is not|it's not) too much trouble|if you (?:do not|don't) mind|(?:a )?quick question|just wondering|(?:can|could) (?:you|anyone|someone|somebody) help(?: me)?(?: out| with this)?|i (?:need|could use) (?:some |your )?help)\s*[,:.!?-]+\s*(?:but )?/gi,
    '$1',
  ],
  [
    frame(
      "(?:i|we)(?: would| 'd)? (?:be (?:very |so |most )?(?:grateful|thankful|obliged|glad|happy)|(?:very much |really )?appreciate it) if (?:you|someone) (?:could|would|can) ",
    ),
    '$1',
  ],
  [frame('(?:may|might|can|could) (?:i|we) ask (?:you )?(?:to )?'), '$1'],
  [
    frame(
      `(?:could|can|would|will) (?:you|someone|anyone|somebody) ${POLITE}(?:be so kind as to |be kind enough to |mind |help me (?:to )?)?`,
    ),
    '$1',
  ],
  [
    frame(
      "(?:i|we)(?: would| 'd)? (?:really )?(?:like|love|want|need|wish|try|am trying) to (?=know|ask|learn|find out|understand|figure out)",
    ),
    '$1',
  ],
  [
    frame(
      `(?:do you (?:happen to )?know|(?:i|we) (?:wonder|was wondering|were wondering)|(?:i am|i am) (?:wondering|curious)|tell (?:me|us)|let (?:me|us) know|know|ask|learn|find out|figure out|understand|show (?:me|us)|point (?:me|us) to|explain to me|remind me)(?: about)? ${ASKS}`,
    ),
    '$1',
  ],
  [
    frame(
      "(?:(?:i|we)(?: would| 'd)? (?:like|appreciate|need|want)|(?:give|provide|offer|send)(?: (?:me|us))?(?: with)?|what is) (?:an?|the)(?: (?:short|brief|quick))? (explanation|summary|description|translation|comparison) of ",
    ),
    '$1$2 ',
  ],
  [frame('(?:show|give|tell|send|name|find)(?: (?:me|us))?[ ,]+(?=\\S)'), '$1'],
  [/\b(?:for|to) (?:me|us)\b(?=\s*(?:[,.!?]|please|$))/gi, ' '],
  [/,?\s*\b(?:please|kindly)\b,?/gi, ' '],
  [new RegExp(`\\bwhere (?:can|do|could|does|would|may|might|should) ${SOMEONE} find\\b`, 'gi'), 'where is'],
  [/\bhow much (?:do|does|would|will|did) (.+?) cost\b/gi, 'what does $1 cost'],
  [/\b(?:is it possible|is there (?:a|any) way|am i able|are we able)(?: for (?:me|us))? to\b/gi, 'can i'],
  [
    new RegExp(`\\bhow (${Object.keys(MEASURES).join('|')}) (is|are|was|were)\\b`, 'gi'),
    'what $2 the how-$1 of',
  ],
  [
    new RegExp(
      `\\bwhat is the way to\\b|\\bhow to\\b|\\bhow (?:do|does|can|could|would|might) ${SOMEONE} go about\\b`,
      'gi',
    ),
    'how',
  ],
]

const NOUNS = {
  explanation: 'explain',
  summary: 'summarise',
  description: 'describe',
  translation: 'translate',
  comparison: 'compare',
}

export function withoutFrames(text: string): string {
  const bare = FRAMES.reduce((sum, [pattern, by]) => sum.replace(pattern, by), text)
  const nouns = { ...MEASURES, ...NOUNS }
  return bare.replace(
    /\bhow-(\w+)|\b(explanation|summary|description|translation|comparison)(?= )/gi,
    (all, adjective, noun) => nouns[(adjective ?? noun).toLowerCase() as keyof typeof nouns] ?? all,
  )
}
