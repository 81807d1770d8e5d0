/**
 * Text of a PDF's pages.
 *
 * Errors: `HubError` 422 `invalid_pdf`, `pdf_encrypted`, `pdf_too_complex`; 413 `pdf_too_long`.
 */
export type ReadPdf = (bytes: Uint8Array, options: { signal: AbortSignal }) => Promise<string[]>
