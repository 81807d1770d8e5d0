/**
 * Static files of the face (`dist/face`), by path below it, such as `index.html`. `undefined` where there is no such file or none was
 * built. The response has the file's type and an `ETag`; the function adds the headers that pages need. `accepted`: the caller's
 * `Accept-Encoding`; whoever compresses says so by `Content-Encoding`, and has an `ETag` of its own for it.
 */
export type Assets = (path: string, accepted?: string) => Promise<Response | undefined>
