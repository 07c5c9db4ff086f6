// Judges recorded deliveries with the published verifiers for JavaScript.

import { readFileSync } from "node:fs";
import * as octokit from "@octokit/webhooks-methods";
import * as standardwebhooks from "standardwebhooks";
import Stripe from "stripe";
import * as svix from "svix";

const verifiers = {
  standard: {
    standardwebhooks: ({ secret, headers, body }) => new standardwebhooks.Webhook(secret).verify(body, headers),
    svix: ({ secret, headers, body }) => new svix.Webhook(secret).verify(body, headers),
  },
  github: {
    "@octokit/webhooks-methods": ({ secret, headers, body }) =>
      octokit.verify(secret, body, headers["x-hub-signature-256"]),
  },
  stripe: {
    stripe: ({ secret, headers, body }) =>
      Stripe.webhooks.constructEvent(body, headers["stripe-signature"], secret),
  },
};
const refusals = ["WebhookVerificationError", "StripeSignatureVerificationError"];

async function accepts(verify, request) {
  try {
    return (await verify(request)) !== false;
  } catch (error) {
    if (refusals.includes(error.constructor.name)) return false;
    throw error;
  }
}

const cases = readFileSync(0, "utf8").trim().split("\n").map((line) => JSON.parse(line));
let judged = 0;
let wrong = 0;
for (const { name, verifier, is_valid: isValid, ...request } of cases) {
  request.headers = Object.fromEntries(Object.entries(request.headers).map(([key, value]) => [key.toLowerCase(), value]));
  for (const [library, verify] of Object.entries(verifiers[verifier])) {
    judged += 1;
    if ((await accepts(verify, request)) !== isValid) {
      wrong += 1;
      console.log(`JavaScript's ${library} ${isValid ? "refuses" : "accepts"} ${name}`);
    }
  }
}
console.log(`JavaScript: ${judged} verdicts about ${cases.length} cases`);
process.exit(wrong === 0 && judged > 0 ? 0 : 1);
