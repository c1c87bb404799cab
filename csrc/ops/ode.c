/* Runge-Kutta methods as loops over steps. */
#include "ops/ode.h"
#include "ops/runge_kutta.h"

/* Of stage i: at time t + time[i] h, and at y + h (weight[i][0] k_0 + ...). The last line of an
 * adaptive method is the step itself, so that its last slope is the first of the next step (FSAL);
 * `error` are the weights of the step's error. */
typedef struct {
    size_t stages;
    double time[CF_MAX_STAGES], weight[CF_MAX_STAGES][CF_MAX_STAGES], error[CF_MAX_STAGES];
    double step[CF_MAX_STAGES]; /* of methods of equal steps */
} method;

static const method methods[CF_SOLVERS] = {
    [CF_EULER] = {.stages = 1, .step = {1.0}},
    [CF_RUNGE_KUTTA_4] = {.stages = 4,
                          .time = {0.0, 0.5, 0.5, 1.0},
                          .weight = {{0}, {0.5}, {0.0, 0.5}, {0.0, 0.0, 1.0}},
                          .step = {1.0 / 6, 1.0 / 3, 1.0 / 3, 1.0 / 6}},
    /* Dormand and Prince 1980. */
    [CF_DORMAND_PRINCE_5] =
        {.stages = 7,
         .time = {0.0, 1.0 / 5, 3.0 / 10, 4.0 / 5, 8.0 / 9, 1.0, 1.0},
         .weight = {{0},
                    {1.0 / 5},
                    {3.0 / 40, 9.0 / 40},
                    {44.0 / 45, -56.0 / 15, 32.0 / 9},
                    {19372.0 / 6561, -25360.0 / 2187, 64448.0 / 6561, -212.0 / 729},
                    {9017.0 / 3168, -355.0 / 33, 46732.0 / 5247, 49.0 / 176, -5103.0 / 18656},
                    {35.0 / 384, 0.0, 500.0 / 1113, 125.0 / 192, -2187.0 / 6784, 11.0 / 84}},
         .error = {71.0 / 57600, 0.0, -71.0 / 16695, 71.0 / 1920, -17253.0 / 339200, 22.0 / 525,
                   -1.0 / 40}},
    /* Tsitouras 2011, table 1. */
    [CF_TSITOURAS_5] = {.stages = 7,
                        .time = {0.0, 0.161, 0.327, 0.9, 0.9800255409045097, 1.0, 1.0},
                        .weight = {{0},
                                   {0.161},
                                   {-0.008480655492356989, 0.335480655492357},
                                   {2.8971530571054935, -6.359448489975075, 4.3622954328695815},
                                   {5.325864828439257, -11.748883564062828, 7.4955393428898365,
                                    -0.09249506636175525},
                                   {5.86145544294642, -12.92096931784711, 8.159367898576159,
                                    -0.071584973281401, -0.028269050394068383},
                                   {0.09646076681806523, 0.01, 0.4798896504144996,
                                    1.379008574103742, -3.290069515436081, 2.324710524099774}},
                        .error = {-0.00178001105222577714, -0.0008164344596567469,
                                  0.007880878010261995, -0.1447110071732629, 0.5823571654525552,
                                  -0.45808210592918697, 0.015151515151515152}},
};

bool cf_solver_is_adaptive(cf_solver solver) {
    return solver == CF_DORMAND_PRINCE_5 || solver == CF_TSITOURAS_5;
}

/* f at stage i of a step, given the slopes before; *at is where. */
static cf_value stage_slope(cf_builder *b, const cf_ode_spec *spec, size_t i, cf_value t,
                            cf_value h, cf_value y, const cf_value *slope, cf_value *at) {
    const method *m = &methods[spec->solver];
    *at = i == 0 ? y : cf_advance(b, y, h, i, slope, m->weight[i]);
    cf_value time = i == 0 ? t : cf_add(b, t, cf_scale_shift(b, h, m->time[i], 0.0));
    cf_value out = cf_broadcast(b, spec->function(b, spec->context, time, *at));
    if (cf_builder_status(b) == CF_OK && cf_value_size(b, out) != cf_value_size(b, y))
        return cf_builder_fail(b, CF_INVALID, "a slope has %zu features, not %zu",
                               cf_value_size(b, out), cf_value_size(b, y));
    return out;
}

/* ---- equal steps ---- */

/* States: y, and how many steps have been made. */
static void equal_step(cf_builder *b, const void *context, const cf_value *state, cf_value *next,
                       cf_value *goes_on) {
    const cf_ode_spec *spec = context;
    const method *m = &methods[spec->solver];
    cf_value slope[CF_MAX_STAGES], at, h = cf_constant(b, CF_BATCHED, 1, 1.0 / spec->steps);
    cf_value t = cf_multiply(b, state[1], h);
    (void)goes_on;
    for (size_t i = 0; i < m->stages; i++)
        slope[i] = stage_slope(b, spec, i, t, h, state[0], slope, &at);
    next[0] = cf_advance(b, state[0], h, m->stages, slope, m->step);
    next[1] = cf_scale_shift(b, state[1], 1.0, 1.0);
}

/* ---- steps of their own length ---- */

enum { Y, SLOPE, CLOCK, STATES }; /* the clock: cf_control_step */

static cf_tolerance tolerance_of(const cf_ode_spec *spec) {
    return (cf_tolerance){spec->rtol, spec->atol, spec->apart};
}

static void adaptive_step(cf_builder *b, const void *context, const cf_value *state, cf_value *next,
                          cf_value *goes_on) {
    const cf_ode_spec *spec = context;
    const method *m = &methods[spec->solver];
    cf_value slope[CF_MAX_STAGES] = {state[SLOPE]}, at = CF_NO_VALUE;
    cf_value t = cf_slice(b, state[CLOCK], 0, 1), h = cf_slice(b, state[CLOCK], 1, 1);
    for (size_t i = 1; i < m->stages; i++)
        slope[i] = stage_slope(b, spec, i, t, h, state[Y], slope, &at);
    cf_value control = cf_control_step(b, state[Y], at, state[CLOCK], m->stages, slope, m->error,
                                       tolerance_of(spec));
    cf_value accepted = cf_slice(b, control, 3, 1);
    next[Y] = cf_where(b, accepted, at, state[Y]);
    next[SLOPE] = cf_where(b, accepted, slope[m->stages - 1], state[SLOPE]);
    next[CLOCK] = cf_slice(b, control, 0, 3);
    *goes_on = cf_slice(b, control, 4, 1);
}

static void start_steps(cf_builder *b, const cf_ode_spec *spec, cf_value *state) {
    cf_value zero = cf_constant(b, CF_BATCHED, 1, 0.0), one = cf_constant(b, CF_BATCHED, 1, 1.0);
    cf_tolerance tolerance = tolerance_of(spec);
    double whole = 1.0;
    state[Y] = spec->start;
    state[SLOPE] = cf_broadcast(b, spec->function(b, spec->context, zero, state[Y]));
    cf_value trial = cf_trial_step(b, state[Y], state[SLOPE], tolerance);
    cf_value at = cf_advance(b, state[Y], trial, 1, &state[SLOPE], &whole);
    cf_value after = cf_broadcast(b, spec->function(b, spec->context, trial, at));
    cf_value h = cf_first_step(b, state[Y], state[SLOPE], after, trial, tolerance);
    state[CLOCK] = cf_concat(b, (cf_value[]){zero, h, one}, 3);
}

cf_value cf_ode(cf_builder *b, const cf_ode_spec *spec, cf_value *failed) {
    bool adaptive = cf_solver_is_adaptive(spec->solver);
    cf_value initial[STATES] = {spec->start}, final[STATES];
    cf_ode_spec kept = *spec;
    cf_while_report report;
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    kept.context = cf_builder_keep(b, spec->context, spec->context_size);
    if (adaptive)
        start_steps(b, &kept, initial);
    else
        initial[1] = cf_constant(b, CF_BATCHED, 1, 0.0);
    cf_while_spec loop = {.states = adaptive ? STATES : 2,
                          .initial = initial,
                          .body = adaptive ? adaptive_step : equal_step,
                          .context = &kept,
                          .context_size = sizeof kept,
                          .max_iterations = spec->steps,
                          .gradient = cf_recorded_steps};
    cf_while(b, &loop, final, &report);
    if (failed != NULL)
        *failed = report.failed;
    return final[0];
}
