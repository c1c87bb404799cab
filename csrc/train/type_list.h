/* All optimisers, schedules and criteria, in the order in which they are documented: a line each; a
 * new one needs no other. registry.c includes it. CF_CRITERION_TYPE is CF_TYPE unless it is
 * defined.
 */
#ifndef CF_CRITERION_TYPE
#define CF_CRITERION_TYPE CF_TYPE
#endif
/* optimisers */
CF_TYPE(adam)
CF_TYPE(adamw)
CF_TYPE(radam)
CF_TYPE(sgd)
CF_TYPE(lion)
CF_TYPE(muon)
/* schedules */
CF_TYPE(constant)
CF_TYPE(cosine)
CF_TYPE(plateau)
/* criteria */
CF_CRITERION_TYPE(flow_matching)
CF_CRITERION_TYPE(distillation)
