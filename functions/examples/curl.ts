import { type Example, type FromReply, showing } from './example.ts'

/** The example as a command of a shell, with the hub in `$HUB_URL`, the key in `$HUB_KEY` and what replies said in variables. */
export function toCurl(method: string, path: string, example: Example, isOpen: boolean): string {
  const { headers = {}, body, type = 'application/json', isBase64 = false, accept } = example
  const parts = [`curl -sS${accept ? 'N' : ''} -X ${method} "$HUB_URL${target(path, example)}"`]
  if (!isOpen) parts.push('-H "Authorization: Bearer $HUB_KEY"')
  for (const [name, value] of Object.entries(headers)) parts.push(`-H '${name}: ${value}'`)
  if (accept) parts.push(`-H 'Accept: ${accept}'`)
  if (body !== undefined) parts.push(`-H 'Content-Type: ${type}'`)
  if (isBase64) parts.push('--data-binary @-')
  else if (body !== undefined) parts.push(`-d ${toText(body)}`)
  const command = parts.join(' \\\n  ')
  return isBase64 ? `echo '${body}' | base64 -d | ${command}` : command
}

/** A body as it is sent. */
export const bodyText = (body: unknown) => (typeof body === 'string' ? body : JSON.stringify(body, null, 2))

/** As JSON, in single quotes; numbers of replies outside of them. */
const toText = (body: unknown) =>
  `'${bodyText(showing(body, ({ name }) => `$${name}$`))
    .replaceAll("'", `'\\''`)
    .replace(/"\$(\w+)\$"/g, (_, name) => `'"$${name}"'`)}'`

function target(path: string, { path: values = {}, query = {} }: Example): string {
  const place = (name: string) => encoded(values[name])
  const search = Object.entries(query).map(([name, value]) => `${name}=${encoded(value)}`)
  const full = path.replace(/\{(\w+)\}/g, (_, name) => place(name)) + (search.length > 0 ? '?' : '')
  return full + search.join('&')
}

const encoded = (value: unknown) =>
  typeof value === 'object' ? `$${(value as FromReply).name}` : encodeURIComponent(String(value))
