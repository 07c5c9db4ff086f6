// Prints a TypeScript file that declares the example of each request to a receiver with the type that was generated for it:
// samples.mjs DOCUMENT.
import { readFileSync } from "node:fs";

const { webhooks } = JSON.parse(readFileSync(process.argv[2], "utf8"));
const examples = Object.entries(webhooks).map(([type, { post }]) => [type, post.requestBody.content["application/json"].example]);
console.log(`import type { webhooks } from "./api.js";

type Body<Type extends keyof webhooks> = webhooks[Type]["post"]["requestBody"]["content"]["application/json"];

export const samples: { [Type in keyof webhooks]: Body<Type> } = ${JSON.stringify(Object.fromEntries(examples), null, 2)};

// @ts-expect-error The sample of one type is not an event of another.
export const wrong: Body<"user.created"> = samples["resource.created"];`);
