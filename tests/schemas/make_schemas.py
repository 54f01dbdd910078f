#!/usr/bin/env python3
"""make_schemas.py SEED COUNT : so many different random JSON Schemas that grammars carry, one a line.

Every keyword that runtime/text/grammar_schema.c reads occurs; texts are bounded, so that a random answer ends.
"""
import json
import random
import sys

FORMATS = ["date", "time", "date-time", "uuid", "email", "hostname", "ipv4", "uri", "duration"]
PATTERNS = ["^[A-Z]{2,4}-[0-9]{3}$", "^(red|green|blue)( light| dark)?$", "^[a-z]+@[a-z]+$", "^.{1,8}$", "^\\d{1,3}%$",
            "^\\w+ \\w+$", "^[^\\s]{2,6}$", "^v\\d+(\\.\\d+){0,2}$", "^\"[a-z]*\"$", "^[\\u00e0-\\u00ff]{1,5}$"]
NAMES = ["name", "id", "kind", "value", "size", "tags", "note", "when", "a b", "größe", "x\"y", "n/m", "items", "next"]


class Maker:
    def __init__(self, seed):
        self.r = random.Random(seed)
        self.defs = {}

    def string(self):
        choice = self.r.randrange(5)
        if choice == 0:
            return {"type": "string", "format": self.r.choice(FORMATS)}
        if choice == 1:
            return {"type": "string", "pattern": self.r.choice(PATTERNS)}
        low = self.r.choice([0, 0, 1, 3])
        return {"type": "string", "minLength": low, "maxLength": low + self.r.choice([0, 2, 8, 20])}

    def number(self):
        kind = self.r.choice(["integer", "number"])
        schema = {"type": kind}
        low = self.r.choice([-1000, -7, 0, 1, 12, 500])
        if self.r.random() < 0.7:
            schema[self.r.choice(["minimum", "exclusiveMinimum"])] = low
        if self.r.random() < 0.7:
            schema[self.r.choice(["maximum", "exclusiveMaximum"])] = low + self.r.choice([2, 5, 99, 12345])
        if kind == "number" and self.r.random() < 0.3:
            return {"type": "number", "minimum": 0.25, "exclusiveMaximum": self.r.choice([0.5, 1, 2.75])}
        return schema

    def listed(self):
        values = ["red", "a \"quoted\" word", "zwölf", 1, -2.5, None, True, [1, "x"], {"k": 1}]
        picked = self.r.sample(values, self.r.randrange(1, 5))
        return {"const": picked[0]} if len(picked) == 1 else {"enum": picked}

    def array(self, depth):
        if self.r.random() < 0.25:
            prefix = [self.value(depth - 1) for _ in range(self.r.randrange(1, 4))]
            return {"type": "array", "prefixItems": prefix, "items": False, "minItems": self.r.randrange(len(prefix) + 1)}
        low = self.r.randrange(3)
        return {"type": "array", "items": self.value(depth - 1), "minItems": low, "maxItems": low + self.r.randrange(4)}

    def members(self, depth):
        names = self.r.sample(NAMES, self.r.randrange(1, 5))
        return {name: self.value(depth - 1) for name in names}

    def object(self, depth):
        properties = self.members(depth)
        schema = {"type": "object", "properties": properties,
                  "required": [name for name in properties if self.r.random() < 0.6]}
        rest = self.r.random()
        if rest < 0.4:
            schema["additionalProperties"] = False
        elif rest < 0.5:
            schema["additionalProperties"] = {"type": "boolean"}
        return schema

    def union(self, depth):
        if self.r.random() < 0.5:
            return {"anyOf": [self.value(depth - 1) for _ in range(self.r.randrange(2, 4))]}
        if self.r.random() < 0.5:
            return {"oneOf": [{"type": "null"}, self.number(), self.string()]}
        return {"type": "object", "oneOf": [
            {"properties": {"kind": {"const": kind}, "value": self.value(depth - 1)}, "required": ["kind", "value"]}
            for kind in ("a", "b", "c")]}

    def joined(self, depth):
        base = self.object(depth)
        base.pop("additionalProperties", None)  # a closed object has no room for what the other one wants
        return {"allOf": [base, {"type": "object", "properties": {"extra": self.number()},
                                               "required": ["extra"]}]}

    def reference(self, depth):
        name = "d%d" % self.r.randrange(3)
        if name not in self.defs:
            self.defs[name] = True
            link = {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/" + name}]}
            self.defs[name] = {"type": "object", "properties": {"v": self.value(0), "next": link},
                               "required": ["v", "next"]}
        return {"$ref": "#/$defs/" + name}

    def value(self, depth):
        if depth <= 0:
            return self.r.choice([self.string, self.number, self.listed,
                                  lambda: {"type": self.r.choice(["boolean", "null", ["boolean", "null"]])}])()
        return self.r.choice([self.string, self.number, self.listed, lambda: self.array(depth), lambda: self.object(depth),
                              lambda: self.object(depth), lambda: self.union(depth), lambda: self.joined(depth),
                              lambda: self.reference(depth)])()

    def schema(self):
        self.defs = {}
        schema = self.value(self.r.randrange(4))
        return {"$defs": self.defs, **schema} if self.defs else schema


maker = Maker(int(sys.argv[1]))
seen = set()
while len(seen) < int(sys.argv[2]):
    line = json.dumps(maker.schema(), ensure_ascii=False)
    if line not in seen:
        seen.add(line)
        print(line)
