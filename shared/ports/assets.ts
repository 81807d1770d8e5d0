/**
 * Static files of the face (`dist/face`), by path below it, such as `index.html`. `undefined` where there is no such file or none was
 * built. The response has the file's type and an `ETag`; the function adds the headers that pages need.
 */
export type Assets = (path: string) => Promise<Response | undefined>
