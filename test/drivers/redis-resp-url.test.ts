import { expect, test } from 'vitest'
import { parseRedisUrl } from '../../shared/drivers/redis-resp-url.ts'

test.each([
  [
    'redis://:p%40ss@10.0.0.1/3',
    {
      topology: 'single',
      tls: false,
      database: 3,
      login: { password: 'p@ss' },
      places: [['10.0.0.1', 6379]],
    },
  ],
  [
    'rediss://hub:secret@[::1]:6380',
    { tls: true, database: 0, login: { username: 'hub', password: 'secret' }, places: [['::1', 6380]] },
  ],
  [
    'redis+sentinel://hub:secret@one,two:26380,[fe80::1]:26381/main/2?sentinel_username=s&sentinel_password=t%26',
    {
      topology: 'sentinel',
      database: 2,
      sentinel: { name: 'main', username: 's', password: 't&' },
      places: [
        ['one', 26379],
        ['two', 26380],
        ['fe80::1', 26381],
      ],
    },
  ],
  ['redis+sentinel://one', { sentinel: { name: 'mymaster' }, database: 0 }],
  [
    'rediss+cluster://one:7000,two',
    {
      topology: 'cluster',
      tls: true,
      places: [
        ['one', 7000],
        ['two', 6379],
      ],
    },
  ],
])('%s', (text, expected) => {
  const url = parseRedisUrl(text)
  expect({ ...url, places: url?.places.map(({ host, port }) => [host, port]) }).toMatchObject(expected)
})

test.each([
  'http://one',
  'redis://',
  'redis://one,two',
  'redis://one:99999',
  'redis://one/x',
  'redis+cluster://one/1',
  'redis://user:%zz@one',
  'redis+other://one',
  'redis://one two',
])('%s is none', (text) => expect(parseRedisUrl(text)).toBeUndefined())
