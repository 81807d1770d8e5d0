import dictionary from 'dictionary-en'
import nspell from 'nspell'

/** Whether a word, as it is written, is English: by Hunspell's dictionary, read at the first call (some 0.2 s). */
export function createDictionary(): (word: string) => boolean {
  let spell: ReturnType<typeof nspell> | undefined
  return (word) => {
    spell ??= nspell(Buffer.from(dictionary.aff), Buffer.from(dictionary.dic))
    return spell.correct(word)
  }
}
