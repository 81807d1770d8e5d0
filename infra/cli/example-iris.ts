import { MEASURES, makeIrisModel, SPECIES } from '../examples/iris.ts'
import { percent, type Say, uploadModel } from './example-model.ts'
import type { HubClient } from './hub-client.ts'

/** Fisher's irises: softmax regression behind a pipeline that scales, runs the model, and names the species. */
export async function runIrisExample(hub: HubClient, say: Say) {
  const { bytes, mean, std, heldOut } = makeIrisModel()
  const version = await uploadModel(hub, 'iris', bytes, 256)
  say(`Model iris, version ${version}: softmax regression on 120 of the 150 flowers.`)
  await hub.json('/v2/pipelines/iris', {
    method: 'PUT',
    body: {
      inputs: Object.fromEntries(MEASURES.map((name) => [name, 'number'])),
      preprocess: [
        { op: 'concat', from: MEASURES, as: 'measures' },
        { op: 'scale', from: 'measures', mean, std, as: 'x' },
      ],
      models: [{ model: 'iris', outputs: { y: 'likely' } }],
      postprocess: [
        { op: 'argmax', from: 'likely', as: 'species', labels: SPECIES },
        { op: 'round', from: 'likely', digits: 3 },
      ],
    },
  })
  const rows = heldOut.map(({ measures }) => ({
    inputs: Object.fromEntries(MEASURES.map((name, n) => [name, measures[n]])),
  }))
  const { data } = await hub.json<Reply>('/v2/pipelines/iris', { method: 'POST', body: { rows } })
  const wrong = heldOut.flatMap(({ species }, n) => {
    const { outputs } = data[n]!
    return outputs.species === species ? [] : [`${species} taken for ${outputs.species} (${outputs.likely})`]
  })
  const accuracy = 1 - wrong.length / heldOut.length
  say(`Of 30 flowers that it has never seen it names ${percent(accuracy)} rightly.`)
  for (const line of wrong) say(`  ${line}`)
  say('\nTry one:')
  say(`  curl ${hub.base}/v2/pipelines/iris -H 'Content-Type: application/json' \\`)
  say(`    -d '${JSON.stringify(rows[0])}'`)
  return { example: 'iris', version, held_out: heldOut.length, accuracy, wrong }
}

interface Reply {
  data: { outputs: { species: string; likely: number[] } }[]
}
