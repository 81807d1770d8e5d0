/** `/docs`: Scalar over the hub's own OpenAPI document. Nothing is asked of any other server. */

interface Scalar {
  createApiReference(element: string, configuration: object): unknown
}

;(globalThis as unknown as { Scalar: Scalar }).Scalar.createApiReference('#reference', {
  url: '/openapi.json',
  servers: [{ url: location.origin }],
  // Their fonts, suggestions and statistics are on other servers.
  withDefaultFonts: false,
  telemetry: false,
  agent: { disabled: true },
  mcp: { disabled: true },
  showDeveloperTools: 'never',
  hideClientButton: true,
  // A key stays in the page: whoever comes next to the machine must not find it.
  persistAuth: false,
  authentication: { preferredSecurityScheme: 'key' },
  defaultHttpClient: { targetKey: 'shell', clientKey: 'curl' },
  defaultOpenAllTags: false,
  theme: 'default',
})
