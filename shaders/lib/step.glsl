// lib/step.glsl -- what the steps in this folder share: where their bindings, constants and parameters are.
//
// A step works on rows that a kernel of its own has been given, or, as a tail, on rows that the product in front of it
// has just made (lib/tail.glsl). Either way the including shader defines
//     STEP_BINDING  the binding of the step's input row; its other operands follow
//     STEP_SPEC     the id of its first specialisation constant
//     STEP_INPUT    memory qualifiers of the input: a tail reads what other workgroups have written
// and a push constant block named `p` whose member `step` holds the step's parameters.
#ifndef STEP_BINDING
#define STEP_BINDING 0
#define STEP_SPEC 1
#define STEP_INPUT readonly
#endif
