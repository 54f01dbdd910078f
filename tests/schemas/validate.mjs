// validate.mjs MODULES : reads what `answers` prints on stdin and has ajv judge every answer.
//
// MODULES is the folder that holds node_modules/ajv and node_modules/ajv-formats. Exit 0 when every answer that ended by
// itself parses and satisfies its schema, none is empty and no schema was refused. Answers cut off at the limit of
// tokens cannot be judged; they are counted, and more than one in ten is a failure, too.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const require = createRequire(process.argv[2] + "/node_modules/");
const Ajv = require("ajv/dist/2020").default;
const addFormats = require("ajv-formats").default;

const validators = new Map();
function validator(schema) {
    const key = JSON.stringify(schema);
    if (!validators.has(key)) {
        const ajv = new Ajv({ strict: false, allErrors: true });
        addFormats(ajv);
        validators.set(key, ajv.compile(schema));
    }
    return validators.get(key);
}

const count = { answers: 0, valid: 0, cut: 0, empty: 0, unparsable: 0, invalid: 0, refused: 0 };
function judge({ schema, stop, answer, refused }) {
    ++count.answers;
    if (refused !== undefined) return ["refused", refused];
    if (stop !== "end") return ["cut", null];
    if (answer === "") return ["empty", ""];
    let value;
    try {
        value = JSON.parse(answer);
    } catch (e) {
        return ["unparsable", String(e)];
    }
    const validate = validator(schema);
    return validate(value) ? ["valid", null] : ["invalid", JSON.stringify(validate.errors)];
}

for await (const line of createInterface({ input: process.stdin })) {
    const row = JSON.parse(line);
    const [verdict, why] = judge(row);
    ++count[verdict];
    if (why !== null) console.log(`${verdict}: ${why}\n  schema ${JSON.stringify(row.schema)}\n  answer ${row.answer}`);
}
console.log(`${validators.size} schemas judged: ${JSON.stringify(count)}`);
const failed = count.empty + count.unparsable + count.invalid + count.refused;
process.exit(count.answers > 0 && failed === 0 && count.cut * 10 <= count.answers ? 0 : 1);
