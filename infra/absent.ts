// Bundled in the place of `effect`: hono-openapi imports every schema library that it finds installed, and our tools bring
// that one along (240 KB gzipped). Here schemas are zod's.
export {}
