/** The token that the local stack and compose are set up with: it is in the documentation, and so is no secret. */
export const WELL_KNOWN_TOKEN = 'supermetrics-api-token-2024'
