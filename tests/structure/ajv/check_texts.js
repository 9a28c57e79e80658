// The texts of schemas, checked by ajv: every text is JSON and fits its schema, and no value that
// the JSON-Schema-Test-Suite calls invalid is taken.
//   node check_texts.js PROGRAM N SEED    PROGRAM: schema_texts; N: random schemas
'use strict';
const {spawnSync} = require('child_process');
const Ajv = require('ajv/dist/2020');
const addFormats = require('ajv-formats');
const suite = require('json-schema-test-suite');
const {makeRandom, randomSchema} = require('./random_schemas');

const program = process.argv[2];
const n = Number(process.argv[3]);
const random = makeRandom(Number(process.argv[4]));

const makeAjv = () => {
  const ajv = new Ajv({strict: false, logger: false, multipleOfPrecision: 9});
  addFormats(ajv);
  return ajv;
};

const cases = [];  // schema, try: texts of values that ajv says are invalid
for (let i = 0; i < n; ++i) cases.push({schema: randomSchema(random), try: []});
for (const schema of require('./fixed_schemas.json')) cases.push({schema, try: []});
let nSuite = 0;
// The suite's package is of draft 4; what ajv takes as 2020-12 means the same there.
for (const group of suite.draft4()) {
  for (const {schema, tests} of group.schemas) {
    const invalid = [];
    try {
      const validate = makeAjv().compile(schema);
      for (const test of tests) {
        if (!validate(test.data)) invalid.push(JSON.stringify(test.data));
      }
    } catch (error) {
      continue;
    }
    ++nSuite;
    cases.push({schema, try: invalid});
  }
}

const out = spawnSync(program, ['8'], {
  input: cases.map((one) => JSON.stringify(one) + '\n').join(''),
  maxBuffer: 1 << 30,
  encoding: 'utf8',
});
const lines = out.stdout.split('\n').filter((line) => line !== '');
let nBad = 0;
let nTexts = 0;
let nTried = 0;
const reasons = {};
function report(schema, what) {
  if (++nBad <= 10) console.log(`${JSON.stringify(schema)}\n    ${what}`);
}
if (lines.length !== cases.length) report(cases[lines.length].schema, `it ended: ${out.stderr}`);
lines.forEach((line, i) => {
  const {schema, try: tried} = cases[i];
  const result = JSON.parse(line);
  if (result.dead_end !== undefined) report(schema, `nothing can follow ${result.dead_end}`);
  if (result.error !== undefined) {
    const reason = result.error.replace(/^json_schema (at .*? (?=has |is |cannot |needs |refers ))?/, '')
      .replace(/"[^"]*"|\d+/g, '_').slice(0, 70);
    reasons[reason] = (reasons[reason] || 0) + 1;
    if (!/^(json_schema|grammar) /.test(result.error)) report(schema, result.error);
    return;
  }
  const ajv = makeAjv();
  const validate = ajv.compile(schema);
  const hasMultiples = JSON.stringify(schema).includes('"multipleOf"');
  for (const text of result.texts) {
    // A double, which is what ajv divides, is not the number that the text holds.
    if (hasMultiples && /\d{16}/.test(text)) continue;
    ++nTexts;
    try {
      if (!validate(JSON.parse(text))) report(schema, `${text} ${ajv.errorsText(validate.errors)}`);
    } catch (error) {
      report(schema, `not JSON: ${text}`);
    }
  }
  result.takes.forEach((takes, k) => {
    ++nTried;
    if (takes) report(schema, `${tried[k]} is taken, but invalid`);
  });
});
const nRefused = Object.values(reasons).reduce((a, b) => a + b, 0);
console.log(`${cases.length} schemas (${nSuite} of the suite), ${nRefused} refused; ` +
            `${nTexts} texts and ${nTried} invalid values, ${nBad} wrong`);
for (const [reason, count] of Object.entries(reasons).sort((a, b) => b[1] - a[1]).slice(0, 30)) {
  console.log(`  ${count} ${reason}`);
}
process.exit(nBad === 0 && nTexts > n && nTried > 100 ? 0 : 1);
