import { expect, test } from 'vitest'
import { toPredicate } from '../../infra/vector-rest/filter.ts'
import { toUpstashFilter, toUpstashMetadata } from '../../shared/drivers/upstash-filter.ts'
import { type FieldType, type Filter, matches } from '../../shared/filters.ts'
import { randomFilter, randomRows } from '../ports/vectors.rows.ts'
import { seeded } from '../support/random.ts'

const FIELDS: Record<string, FieldType> = {
  ...{ color: 'tag', flag: 'tag', size: 'number', weight: 'number', title: 'text' },
  ...{ 'a.b-c_1': 'tag', and: 'tag', 'größe[#-1]': 'number', '9': 'number' },
}

test.each<[Filter, string]>([
  [{ type: 'eq', key: 'color', value: 'red' }, "f_color CONTAINS 'red'"],
  [{ type: 'eq', key: 'flag', value: true }, "f_flag CONTAINS 'true'"],
  [
    { type: 'in', key: 'color', value: ['red', 'blue', 'red'] },
    "(f_color CONTAINS 'red' OR f_color CONTAINS 'blue')",
  ],
  [{ type: 'ne', key: 'color', value: 'red' }, "(HAS NOT FIELD f_color OR f_color NOT CONTAINS 'red')"],
  [
    { type: 'nin', key: 'color', value: ['red', 'blue'] },
    "(HAS NOT FIELD f_color OR (f_color NOT CONTAINS 'red' AND f_color NOT CONTAINS 'blue'))",
  ],
  [
    { type: 'eq', key: 'color', value: "x' OR HAS NOT FIELD f_color OR f_color = 'x" },
    "f_color CONTAINS 'x%27%20OR%20HAS%20NOT%20FIELD%20f_color%20OR%20f_color%20%3D%20%27x'",
  ],
  [{ type: 'eq', key: 'color', value: '\\"\n%' }, "f_color CONTAINS '%5C%22%0A%25'"],
  [{ type: 'eq', key: 'color', value: '' }, "f_color CONTAINS '%'"],
  [{ type: 'eq', key: 'color', value: 'grün 😀' }, "f_color CONTAINS 'grün%20😀'"],
  [{ type: 'eq', key: 'size', value: 5 }, 'f_size = 5'],
  [{ type: 'ne', key: 'size', value: -1.5 }, '(HAS NOT FIELD f_size OR f_size != -1.5)'],
  [{ type: 'gt', key: 'size', value: 0.1 }, 'f_size > 0.1'],
  [{ type: 'gte', key: 'size', value: -0 }, 'f_size >= 0'],
  [{ type: 'lt', key: 'size', value: 1.25e21 }, 'f_size < 1250000000000000000000'],
  [{ type: 'lte', key: 'size', value: -1.5e-7 }, 'f_size <= -0.00000015'],
  [{ type: 'in', key: 'size', value: [1, 2] }, 'f_size IN (1, 2)'],
  [{ type: 'nin', key: 'size', value: [1, 2] }, '(HAS NOT FIELD f_size OR f_size NOT IN (1, 2))'],
  [{ type: 'eq', key: 'a.b-c_1', value: 'x' }, "f_a_2e_b_2d_c__1 CONTAINS 'x'"],
  [{ type: 'eq', key: 'and', value: 'x' }, "f_and CONTAINS 'x'"],
  [{ type: 'eq', key: 'größe[#-1]', value: 1 }, 'f_gr_f6__df_e_5b__23__2d_1_5d_ = 1'],
  [{ type: 'eq', key: '9', value: 1 }, 'f_9 = 1'],
  [
    {
      type: 'and',
      filters: [
        { type: 'eq', key: 'size', value: 1 },
        {
          type: 'or',
          filters: [
            { type: 'eq', key: 'color', value: 'a' },
            { type: 'and', filters: [{ type: 'eq', key: 'color', value: 'b' }] },
          ],
        },
      ],
    },
    "(f_size = 1 AND (f_color CONTAINS 'a' OR f_color CONTAINS 'b'))",
  ],
])('%j', (filter, expected) => {
  expect(toUpstashFilter(filter, FIELDS)).toBe(expected)
})

test('metadata has lists of encoded tags, numbers, and nothing for what is empty, text or undeclared', () => {
  const values = {
    ...{ color: ['red', "it's", 'red'], flag: 'true', size: 1e300, title: 'long', other: 'x' },
    and: [],
  }
  expect(toUpstashMetadata({ fields: FIELDS }, values)).toEqual({
    f_color: ['red', 'it%27s'],
    f_flag: ['true'],
    f_size: 1e300,
  })
})

test('passes exactly what `matches` passes', () => {
  const random = seeded(21)
  const rows = randomRows(random, 200)
  const stored = rows.map(({ fields }) => {
    const metadata = toUpstashMetadata({ fields: FIELDS }, fields)
    return JSON.parse(JSON.stringify(metadata))
  })
  const passing = { some: 0, none: 0 }
  for (let i = 0; i < 500; i++) {
    const filter = randomFilter(random)
    const passes = toPredicate(toUpstashFilter(filter, FIELDS))
    const expected = rows.map(({ fields }) => matches(filter, fields))
    expect(stored.map(passes), JSON.stringify(filter)).toEqual(expected)
    passing[expected.includes(true) ? 'some' : 'none']++
  }
  expect(passing.some).toBeGreaterThan(300)
})
