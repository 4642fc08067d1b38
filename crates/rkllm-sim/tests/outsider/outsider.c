/*
 * A client of librkllmrt.so that knows nothing but the header: outsider LIBRARY MODEL SCENARIO.
 * Exits with 0 if the library behaves; says on stderr what does not.
 */
#include "rkllm.h"

#include <dlfcn.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                                                              \
    do {                                                                                                              \
        if (!(condition)) {                                                                                           \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                                   \
            exit(1);                                                                                                  \
        }                                                                                                             \
    } while (0)

static void *library;

#define CALL(name) ((__typeof__(name) *)symbol(#name))

static void *symbol(const char *name)
{
    void *found = dlsym(library, name);
    if (!found) {
        fprintf(stderr, "missing: %s\n", name);
        exit(1);
    }
    return found;
}

/* What one run brings. */
typedef struct {
    char text[65536];
    int32_t ids[8192];
    int normal, waiting, finished, failed;
    int hidden_rows, embd_size;
    int pause_at;          /* returns 1 at this token, from 1 */
    int stop_at;           /* waits for the other thread at this token, from 1 */
    sem_t reached, go_on;
#if RKLLM_ABI != 120
    RKLLMPerfStat perf;
#endif
} Run;

static int take(RKLLMResult *result, void *userdata, LLMCallState state)
{
    Run *run = userdata;
    CHECK(result != NULL);
    switch (state) {
    case RKLLM_RUN_NORMAL:
        if (result->last_hidden_layer.hidden_states) {
            run->hidden_rows = result->last_hidden_layer.num_tokens;
            run->embd_size = result->last_hidden_layer.embd_size;
            return 0;
        }
        CHECK(result->text != NULL);
        CHECK(strlen(run->text) + strlen(result->text) < sizeof run->text);
        strcat(run->text, result->text);
        run->ids[run->normal++] = result->token_id;
        break;
    case RKLLM_RUN_WAITING:
        run->waiting++;
        break;
    case RKLLM_RUN_FINISH:
        run->finished++;
#if RKLLM_ABI != 120
        run->perf = result->perf;
#endif
        return 0;
    case RKLLM_RUN_ERROR:
        run->failed++;
        return 0;
    }
    if (run->stop_at && run->normal == run->stop_at) {
        sem_post(&run->reached);
        sem_wait(&run->go_on);
    }
    return run->pause_at && run->normal == run->pause_at;
}

#if RKLLM_ABI == 120
static void callback(RKLLMResult *result, void *userdata, LLMCallState state)
{
    take(result, userdata, state);
}
#else
static int callback(RKLLMResult *result, void *userdata, LLMCallState state)
{
    return take(result, userdata, state);
}
#endif

static RKLLMParam parameters(const char *model)
{
    RKLLMParam param = CALL(rkllm_createDefaultParam)();
    CHECK(param.top_k == 40 && param.top_p > 0.89f && param.top_p < 0.91f);
    CHECK(param.n_keep == -1 && !param.skip_special_token && !param.is_async);
    CHECK(param.extend_param.enabled_cpus_num == 4 && param.extend_param.enabled_cpus_mask == 0xF0);
    param.model_path = model;
    param.max_context_len = 4096;
    param.max_new_tokens = 1024;
    return param;
}

static int init(LLMHandle *handle, RKLLMParam *param)
{
#if RKLLM_ABI == 130
    RKLLMCallback callbacks;
    memset(&callbacks, 0, sizeof callbacks);
    callbacks.result_callback = callback;
    return CALL(rkllm_init)(handle, param, &callbacks);
#else
    return CALL(rkllm_init)(handle, param, callback);
#endif
}

static LLMHandle load(const char *model)
{
    LLMHandle handle = NULL;
    RKLLMParam param = parameters(model);
    CHECK(init(&handle, &param) == 0 && handle != NULL);
    return handle;
}

static Run *fresh(void)
{
    Run *run = calloc(1, sizeof *run);
    CHECK(run != NULL);
    sem_init(&run->reached, 0, 0);
    sem_init(&run->go_on, 0, 0);
    return run;
}

static int ask(LLMHandle handle, const char *prompt, RKLLMInferMode mode, Run *run)
{
    RKLLMInput input;
    RKLLMInferParam infer;
    memset(&input, 0, sizeof input);
    memset(&infer, 0, sizeof infer);
    input.input_type = RKLLM_INPUT_PROMPT;
    input.prompt_input = prompt;
#if RKLLM_ABI != 120
    input.role = "user";
#endif
    infer.mode = mode;
    return CALL(rkllm_run)(handle, &input, &infer, run);
}

static void chat(const char *model)
{
    LLMHandle handle = load(model);
    Run *first = fresh(), *second = fresh(), *hidden = fresh();
    CHECK(ask(handle, "Tell me about rivers.", RKLLM_INFER_GENERATE, first) == 0);
    CHECK(first->finished == 1 && first->failed == 0 && first->normal > 8);
    CHECK(strstr(first->text, "<|im_end|>") != NULL);
    CHECK(ask(handle, "Tell me about rivers.", RKLLM_INFER_GENERATE, second) == 0);
    CHECK(strcmp(first->text, second->text) == 0);
    CHECK(memcmp(first->ids, second->ids, sizeof first->ids) == 0);
#if RKLLM_ABI != 120
    int cached = 0;
    CHECK(CALL(rkllm_get_kv_cache_size)(handle, &cached) == 0);
    CHECK(first->perf.generate_tokens == first->normal + first->waiting);
    CHECK(first->perf.prefill_tokens > 1 && first->perf.prefill_time_ms > 0 && first->perf.generate_time_ms > 0);
    CHECK(second->perf.prefill_tokens == 1);
    CHECK(cached == first->perf.prefill_tokens + first->perf.generate_tokens);
    CHECK(CALL(rkllm_clear_kv_cache)(handle, 0, NULL, NULL) == 0);
    CHECK(CALL(rkllm_get_kv_cache_size)(handle, &cached) == 0 && cached == 0);
    CHECK(CALL(rkllm_is_running)(handle) == (RKLLM_ABI == 130 ? 0 : 1));
#else
    CHECK(CALL(rkllm_clear_kv_cache)(handle, 0) == 0);
#endif
    CHECK(ask(handle, "rivers", RKLLM_INFER_GET_LAST_HIDDEN_LAYER, hidden) == 0);
    CHECK(hidden->finished == 1 && hidden->hidden_rows > 1 && hidden->embd_size == 1024);
    CHECK(CALL(rkllm_run)(handle, NULL, NULL, NULL) == -1);
    CHECK(CALL(rkllm_destroy)(handle) == 0);
}

typedef struct {
    LLMHandle handle;
    Run *run;
} Aborter;

static void *abort_at_token(void *argument)
{
    Aborter *aborter = argument;
    sem_wait(&aborter->run->reached);
    CHECK(CALL(rkllm_abort)(aborter->handle) == 0);
    sem_post(&aborter->run->go_on);
    return NULL;
}

static void abort_run(const char *model)
{
    LLMHandle handle = load(model);
    Run *run = fresh();
    run->stop_at = 3;
    Aborter aborter = {handle, run};
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, abort_at_token, &aborter) == 0);
    CHECK(ask(handle, "Tell me about rivers.", RKLLM_INFER_GENERATE, run) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(run->normal == 3 && run->finished == 1 && run->failed == 0);
    CHECK(CALL(rkllm_destroy)(handle) == 0);
}

#if RKLLM_ABI != 120
static void pause_run(const char *model)
{
    LLMHandle handle = load(model);
    Run *whole = fresh(), *head = fresh(), *tail = fresh();
    CHECK(ask(handle, "Tell me about rivers.", RKLLM_INFER_GENERATE, whole) == 0);
    head->pause_at = 4;
    CHECK(ask(handle, "Tell me about rivers.", RKLLM_INFER_GENERATE, head) == 0);
    CHECK(head->finished == 0 && head->normal == 4);
    CHECK(ask(handle, "Something else altogether.", RKLLM_INFER_GENERATE, tail) == 0);
    CHECK(tail->finished == 1);
    strcat(head->text, tail->text);
    CHECK(strcmp(head->text, whole->text) == 0);
    CHECK(CALL(rkllm_destroy)(handle) == 0);
}
#endif

#if RKLLM_ABI == 121
static void null_images(const char *model)
{
    LLMHandle handle = NULL;
    RKLLMParam param = parameters(model);
    param.img_start = NULL;
    init(&handle, &param);
}
#endif

#if RKLLM_ABI == 130
static void per_run(const char *model)
{
    LLMHandle handle = load(model);
    Run *run = fresh();
    int32_t ids[] = {40, 41, 42};
    RKLLMInput input;
    RKLLMInferParam infer;
    memset(&input, 0, sizeof input);
    memset(&infer, 0, sizeof infer);
    input.input_type = RKLLM_INPUT_TOKEN;
    input.token_input.input_ids = ids;
    input.token_input.n_tokens = 3;
    infer.max_new_tokens = 5;
    CHECK(CALL(rkllm_run)(handle, &input, &infer, run) == 0);
    CHECK(run->perf.prefill_tokens == 3 && run->perf.generate_tokens == 5);
    CHECK(CALL(rkllm_destroy)(handle) == 0);
}
#endif

static void refuse(const char *model)
{
    LLMHandle handle = NULL;
    RKLLMParam param = parameters("/nowhere/model.rkllm");
    CHECK(init(&handle, &param) == -1 && handle == NULL);
    param = parameters(model);
    param.max_context_len = 1 << 20;
    CHECK(init(&handle, &param) == -1 && handle == NULL);
    CHECK(CALL(rkllm_abort)(NULL) == -1);
}

static void symbols(void)
{
    static const char *const since_1_2_1[] = {"rkllm_get_kv_cache_size", "rkllm_set_function_tools",
                                              "rkllm_set_cross_attn_params"};
    for (size_t i = 0; i < 3; i++)
        CHECK((dlsym(library, since_1_2_1[i]) != NULL) == (RKLLM_ABI != 120));
}

int main(int argc, char **argv)
{
    CHECK(argc == 4);
    library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        fprintf(stderr, "%s\n", dlerror());
        return 1;
    }
    const char *scenario = argv[3];
    if (!strcmp(scenario, "chat"))
        chat(argv[2]);
    else if (!strcmp(scenario, "abort"))
        abort_run(argv[2]);
#if RKLLM_ABI != 120
    else if (!strcmp(scenario, "pause"))
        pause_run(argv[2]);
#endif
#if RKLLM_ABI == 121
    else if (!strcmp(scenario, "null_images"))
        null_images(argv[2]);
#endif
#if RKLLM_ABI == 130
    else if (!strcmp(scenario, "per_run"))
        per_run(argv[2]);
#endif
    else if (!strcmp(scenario, "refuse"))
        refuse(argv[2]);
    else if (!strcmp(scenario, "symbols"))
        symbols();
    else
        CHECK(!"a known scenario");
    return 0;
}
