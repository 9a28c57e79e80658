// Random JSON schemas, from a seed: small, with keywords that meet each other often.
'use strict';

function makeRandom(seed) {
  let state = seed >>> 0;
  return (n) => {  // mulberry32
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) % n;
  };
}

const PATTERNS = ['^a', 'b$', '^[a-c]{2,4}$', '^\\d+$', '\\s', '^(x|yz)*$', '[^a-z]', '^é{1,3}$',
  '^\\\\$', '^"$', '^a\\nb$', '^\\t$', '^.{2}$', '^\\w+@\\w+$', '^a|b$', '^$', '^[\\u0041-\\u0045]+$',
  '^((a?){4}){4}$', '\\.', '^(?:ab)?c$', '^\\S$', '^\\W\\D$', '^[^\\n]$', '^\\u{1F600}+$', '^\\/x$',
  '^(?=.*\\d)[a-z\\d]{2,5}$', '^(?!a)[a-c]{1,3}$', '^(?!.*\\.\\.)(?=[^b]*b)[.ab]+$', '^(?!x)|^x$',
  '^(?!^[-+.]*$)[+-]?0*\\d*\\.?\\d*$', '^[\\uD800-\\uFFFF]$', '^[^\\x00-\\x7F]+?$', '^(?<n>a|b){2}$'];
const FORMATS = ['date', 'time', 'date-time', 'uuid', 'ipv4', 'ipv6', 'hostname', 'email', 'uri',
  'duration', 'base64url', 'path', 'int32', 'int64', 'double'];
const NUMBERS = [0, 1, -1, 2, 5, 7, 10, 99, 100, 101, -100, -99, 1000, 1024, 1900, 10000, 1e6, 0.5, -0.5,
  0.25, 1.5, 99.99, -0.001, 3.14159, 1700000000000000, 9007199254740991, -9007199254740991, 0.1, 12.5];
const VALUES = [null, true, false, 0, 1, -3, 1.5, '', 'a', 'ab', 'é', '"', 'a\nb', '\\', [], [1], ['a'],
  {}, {a: 1}, {b: ['x']}, {a: 1.0}, 1e2, -0.0, {'é"\n': {'\u{1F600}': [null, '\u0000']}}, '\u2028', 100];
const NAMES = ['a', 'b', 'ab', 'c d', 'é', '"q', 'x/y'];

function randomSchema(random, depth = 0, root = true) {
  const pick = (list) => list[random(list.length)];
  const chance = (percent) => random(100) < percent;
  const below = () => randomSchema(random, depth + 1, false);
  const some = (list, n) => [...list].sort(() => random(3) - 1).slice(0, n);
  const number = () => pick(NUMBERS);
  if (!root && chance(6)) return chance(75);
  const schema = {};
  const add = {
    integer() {
      if (chance(40)) schema.minimum = number();
      if (chance(40)) schema.maximum = number();
      if (chance(15)) schema.exclusiveMinimum = number();
      if (chance(15)) schema.exclusiveMaximum = number();
      if (chance(5)) schema.format = pick(['int32', 'int64', 'double']);
      if (chance(20)) schema.multipleOf = pick([1, 2, 3, 5, 10, 100, 0.5, 0.1, 0.01, 7]);
    },
    string() {
      if (chance(35)) schema.minLength = random(4);
      if (chance(35)) schema.maxLength = random(6);
      if (chance(35)) schema.pattern = pick(PATTERNS);
      if (chance(12)) schema.format = pick(FORMATS);
    },
    array() {
      if (chance(60)) schema.items = below();
      if (chance(30)) schema.prefixItems = [below(), below()].slice(0, 1 + random(2));
      if (chance(35)) schema.minItems = random(4);
      if (chance(35)) schema.maxItems = random(5);
      if (chance(12)) schema.contains = below();
      if (schema.contains !== undefined && chance(30)) schema.minContains = random(3);
      if (chance(10)) schema.uniqueItems = chance(70);
    },
    object() {
      if (chance(75)) {
        schema.properties = {};
        for (const name of some(NAMES, random(4))) schema.properties[name] = below();
      }
      if (chance(40)) schema.required = some(NAMES, random(3));
      if (chance(40)) schema.additionalProperties = chance(50) ? false : below();
      if (chance(12)) schema.patternProperties = {[pick(['^a', 'b$', '^x-', '.'])]: below()};
      if (chance(10)) schema.propertyNames = pick([{pattern: '^[a-z]+$'}, {maxLength: 2},
        {enum: ['a', 'zz']}, {type: 'integer'}, {const: 'ab'}, {}, {type: ['string', 'null'], minLength: 1}]);
      if (chance(12)) schema.minProperties = random(3);
      if (chance(12)) schema.maxProperties = 1 + random(3);
      if (chance(8)) schema.dependentRequired = {[pick(NAMES)]: some(NAMES, 1 + random(2))};
      if (chance(5)) schema.dependentSchemas = {[pick(NAMES)]: below()};
    },
  };
  add.number = add.integer;
  const types = ['integer', 'number', 'string', 'array', 'object', 'boolean', 'null'];
  const flat = ['integer', 'number', 'string', 'boolean', 'null'];
  const type = pick(depth > 2 ? flat : types);
  if (chance(88)) schema.type = chance(12) ? some(types, 2) : type;
  if (add[type]) add[type]();
  if (chance(8)) add[pick(depth > 2 ? ['integer', 'string'] : ['integer', 'string', 'array', 'object'])]();
  if (chance(7)) schema.enum = some(VALUES, 1 + random(6));
  if (chance(4)) schema.const = pick(VALUES);
  if (chance(3)) schema.not = pick([false, {}, true]);
  if (depth < 3) {
    if (chance(7)) schema.anyOf = [below(), below()];
    if (chance(5)) schema.oneOf = [below(), below()];
    if (chance(8)) schema.allOf = [below(), below()].slice(0, 1 + random(2));
  }
  if (chance(5)) schema.$ref = pick(root ? ['#/$defs/d0', '#/$defs/x~1y'] : ['#', '#/$defs/d0', '#/$defs/x~1y']);
  if (root) schema.$defs = {d0: below(), 'x/y': below()};
  return schema;
}

module.exports = {makeRandom, randomSchema};
