import { readFileSync } from 'node:fs'
import { buildDense } from './dense-model.ts'
import { seeded, shuffled } from './random.ts'
import { predict, train } from './train.ts'

/** In the order of the model's classes. */
export const SPECIES = ['setosa', 'versicolor', 'virginica'] as const
export const MEASURES = ['sepal_length', 'sepal_width', 'petal_length', 'petal_width'] as const

export interface Flower {
  /** In cm, in the order of `MEASURES`. */
  measures: number[]
  species: (typeof SPECIES)[number]
}

/**
 * Softmax regression over the 150 flowers that R. A. Fisher published in 1936 (The use of multiple measurements in taxonomic problems;
 * Annals of Eugenics 7), of which each fifth in an order by the seed is held out.
 */
export function makeIrisModel(seed = 1936) {
  const random = seeded(seed)
  const flowers = shuffled(readFlowers(), random)
  const heldOut = flowers.filter((_, n) => n % 5 === 0)
  const known = flowers.filter((_, n) => n % 5 !== 0)
  const mean = MEASURES.map((_, n) => meanOf(known.map(({ measures }) => measures[n]!)))
  const std = MEASURES.map((_, n) =>
    Math.sqrt(meanOf(known.map(({ measures }) => (measures[n]! - mean[n]!) ** 2))),
  )
  const scaled = ({ measures }: Flower) => measures.map((value, n) => (value - mean[n]!) / std[n]!)
  const rows = known.map((flower) => ({ x: scaled(flower), label: SPECIES.indexOf(flower.species) }))
  const layers = train(rows, { sizes: [4, 3], epochs: 200, rate: 0.02, decay: 0.002, random })
  const isRight = (flower: Flower) => {
    const likely = predict(layers, scaled(flower))
    return SPECIES[likely.indexOf(Math.max(...likely))] === flower.species
  }
  const accuracy = heldOut.filter(isRight).length / heldOut.length
  return { bytes: buildDense(layers), mean, std, heldOut, accuracy }
}

function readFlowers(): Flower[] {
  const [, ...lines] = readFileSync(new URL('./iris.csv', import.meta.url), 'utf8')
    .trim()
    .split('\n')
  return lines.map((line) => {
    const fields = line.split(',')
    return { measures: fields.slice(0, 4).map(Number), species: fields[4] as Flower['species'] }
  })
}

const meanOf = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length
