/** Stands for a value that is not shown. */
export const MASK = '***'

/** Whether a header's name says that its value is to be kept from readers. */
export const isSecretHeader = (name: string): boolean =>
  /auth|cookie|credential|key|password|secret|signature|token/i.test(name)
