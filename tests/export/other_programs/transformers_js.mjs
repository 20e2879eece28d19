// Run an export in transformers.js, from the disk alone: `node transformers_js.mjs ROOT REQUESTS`, JSON in and out.
// A request is [task, folder in ROOT, dtype, the pipeline's inputs ..., its options].
import { readFileSync } from 'node:fs';
import { env, pipeline } from '@huggingface/transformers';

env.allowRemoteModels = false;
env.allowLocalModels = true;
env.localModelPath = process.argv[2];

const answers = [];
for (const [task, folder, dtype, ...inputs] of JSON.parse(readFileSync(process.argv[3], 'utf-8'))) {
    const run = await pipeline(task, folder, { dtype, device: 'cpu' });
    const found = await run(...inputs);
    answers.push(found.tolist ? found.tolist() : found);
}
console.log(JSON.stringify(answers));
