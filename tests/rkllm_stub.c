/* A stand-in for librkllmrt.so 1.3.0: our reading of its header, and of what was published of its
 * behaviour. No line of the runtime is in it, and no board was near when it was written.
 *
 * The "model" is a text file. Its first line says what the converter would have written into it:
 *     rkllm-stub target=RK3588 toolkit=1.3.0 limit=16384
 * Each further line is a rule: NEEDLE <tab> MODE <tab> TEXT <tab> TEXT ... The first rule whose
 * needle is in the prompt answers with its first text, the next time with its second, and the last
 * one for ever. Modes:
 *     say         TEXT, up to three bytes a token; each character of more bytes first "waits"
 *     slow        a prefill of TEXT milliseconds that does not hear an abort, then "ok"
 *     hang        two tokens, then nothing ever again
 *     crash       two tokens, then SIGABRT; TEXT of this mode and of `hang` names a file without
 *                 which all is well, and which is gone then
 *     error       one token, then the state ERROR
 *     empty       no token at all, and success
 *     unfinished  returns without the state FINISH
 * Without a rule the answer is words that depend on the prompt alone.
 *
 * RKLLM_STUB, separated by commas: version=V driver=V platform=P mute init-fails init-null
 * init-crashes init-hangs init-slow cache-crash save-crash kv-fails=NTH ignore-abort.
 * RKLLM_STUB_LOG names a file that gets a line for each call.
 */
#define _GNU_SOURCE
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

typedef void *Handle;

typedef struct {
    int32_t base_domain_id;
    int8_t embed_flash;
    int8_t enabled_cpus_num;
    uint32_t enabled_cpus_mask;
    uint8_t n_batch;
    int8_t use_cross_attn;
    uint8_t reserved[104];
} ExtendParam;

typedef struct {
    const char *model_path;
    int32_t max_context_len;
    int32_t max_new_tokens;
    int32_t top_k;
    int32_t n_keep;
    float top_p;
    float temperature;
    float repeat_penalty;
    float frequency_penalty;
    float presence_penalty;
    int32_t mirostat;
    float mirostat_tau;
    float mirostat_eta;
    bool skip_special_token;
    bool ignore_eos_token;
    bool is_async;
    ExtendParam extend_param;
} Param;

typedef struct {
    int32_t top_k;
    float top_p;
    float temperature;
    float repeat_penalty;
    float frequency_penalty;
    float presence_penalty;
    int32_t mirostat;
    float mirostat_tau;
    float mirostat_eta;
} SamplingParam;

typedef struct {
    int save_prompt_cache;
    const char *prompt_cache_path;
} PromptCacheParam;

typedef struct {
    int mode;
    void *lora_params;
    PromptCacheParam *prompt_cache_params;
    SamplingParam *sampling_params;
    int keep_history;
    int32_t max_new_tokens;
} InferParam;

typedef struct {
    char *prompt;
    struct {
        float *embed;
        size_t tokens, images;
        const char *start, *end, *content;
        size_t width, height;
    } image;
    struct {
        float *embed;
        size_t tokens, frames, videos;
        const char *start, *end, *content;
        size_t width, height;
    } video;
} MultiModalInput;

typedef struct {
    const char *role;
    bool enable_thinking;
    int input_type;
    union {
        const char *prompt_input;
        MultiModalInput multimodal_input;
    };
} Input;

typedef struct {
    const void *pointer;
    int first, second;
} Rows;

typedef struct {
    float prefill_time_ms;
    int prefill_tokens;
    float generate_time_ms;
    int generate_tokens;
    float memory_usage_mb;
} PerfStat;

typedef struct {
    const char *text;
    int32_t token_id;
    Rows last_hidden_layer;
    Rows logits;
    PerfStat perf;
} Result;

typedef int (*ResultCallback)(Result *, void *, int);

typedef struct {
    ResultCallback result_callback;
    void *result_userdata;
    void *tokenizer_callback;
    void *tokenizer_userdata;
    void *embed_callback;
    void *embed_userdata;
} Callback;

#include "rkllm_layout.h" /* written by tests/rkllm_layout.py: every size and offset */

enum { NORMAL, WAITING, FINISH, ERROR };
enum { RULES_MAX = 64, FIELDS_MAX = 16, LINE_MAX_BYTES = 65536 };

typedef struct {
    char *fields[FIELDS_MAX];
    int count, used;
} Rule;

static Rule rules[RULES_MAX];
static int rule_count;
static Callback callback;
static char *cached;
static int handle_target;
static bool has_empty_template, has_plain_text;
static atomic_bool is_aborted;

static const char *option(const char *name) {
    static char value[64];
    const char *place = getenv("RKLLM_STUB");
    size_t length = strlen(name);
    for (; place && *place; place = strchr(place, ',') ? strchr(place, ',') + 1 : NULL) {
        if (strncmp(place, name, length) == 0 && strchr(",=", place[length])) {
            const char *text = place[length] == '=' ? place + length + 1 : "";
            snprintf(value, sizeof value, "%.*s", (int)strcspn(text, ","), text);
            return value;
        }
    }
    return NULL;
}

static void note(const char *call, const char *detail) {
    const char *path = getenv("RKLLM_STUB_LOG");
    FILE *file = path ? fopen(path, "a") : NULL;
    if (!file) return;
    fprintf(file, "%d %s", (int)getpid(), call);
    for (; *detail; detail++) fprintf(file, *detail == '\n' ? "\\n" : "%c", *detail);
    fputc('\n', file);
    fclose(file);
}

static double now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1e3 + now.tv_nsec / 1e6;
}

static void sleep_ms(long milliseconds) {
    struct timespec pause = {milliseconds / 1000, milliseconds % 1000 * 1000000};
    nanosleep(&pause, NULL);
}

static void say_version(void) {
    const char *given;
    char version[64], driver[64], platform[64];
    snprintf(version, sizeof version, "%s", (given = option("version")) ? given : "1.3.0");
    snprintf(driver, sizeof driver, "%s", (given = option("driver")) ? given : "0.9.8");
    snprintf(platform, sizeof platform, "%s", (given = option("platform")) ? given : "RK3588");
    if (!option("mute"))
        printf("I rkllm: rkllm-runtime version: %s, rknpu driver version: %s, platform: %s\n",
               version, driver, platform);
}

static void read_rule(char *line) {
    Rule *rule = &rules[rule_count++];
    char *field;
    while (rule->count < FIELDS_MAX && (field = strsep(&line, "\t")))
        rule->fields[rule->count++] = strdup(field);
}

static int read_model(const char *path) {
    static char line[LINE_MAX_BYTES];
    char target[32], toolkit[32];
    int limit;
    FILE *file = fopen(path, "r");
    if (!file || !fgets(line, sizeof line, file) ||
        sscanf(line, "rkllm-stub target=%31s toolkit=%31s limit=%d", target, toolkit, &limit) != 3) {
        printf("E rkllm: failed to open the model file %s\n", path);
        if (file) fclose(file);
        return -1;
    }
    printf("I rkllm: rkllm-toolkit version: %s, max_context_limit: %d, npu_core_num: 3, "
           "target_platform: %s, model_dtype: W8A8\n", toolkit, limit, target);
    while (rule_count < RULES_MAX && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = 0;
        if (*line) read_rule(line);
    }
    fclose(file);
    return 0;
}

Param rkllm_createDefaultParam(void) {
    Param param = {.max_context_len = 512, .max_new_tokens = -1, .top_k = 40, .n_keep = -1};
    param.top_p = 0.9f, param.temperature = 0.8f, param.repeat_penalty = 1.1f;
    param.extend_param.n_batch = 1;
    return param;
}

int rkllm_init(Handle *handle, Param *param, Callback *given) {
    static bool was_called;
    note("init ", param->model_path);
    if (was_called) abort(); /* as runtime 1.3.0 does after a first init without memory */
    was_called = true;
    say_version();
    if (option("init-crashes")) abort();
    while (option("init-hangs") && access(param->model_path, F_OK) == 0) sleep_ms(1000);
    if (option("init-slow") && access(param->model_path, F_OK) == 0) sleep_ms(1500);
    if (option("init-fails") && access(param->model_path, F_OK) == 0) {
        printf("E rkllm: failed to malloc npu memory\n");
        return -1;
    }
    if (read_model(param->model_path) != 0) return -1;
    callback = *given;
    has_plain_text = param->skip_special_token;
    *handle = option("init-null") ? NULL : &handle_target;
    return 0;
}

int rkllm_set_chat_template(Handle handle, const char *system, const char *before,
                            const char *behind) {
    if (handle != &handle_target) return -1;
    has_empty_template = !*system && !*before && !*behind;
    return 0;
}

int rkllm_load_prompt_cache(Handle handle, const char *path) {
    static char text[LINE_MAX_BYTES];
    note("load_cache ", path);
    if (option("cache-crash")) abort();
    FILE *file = fopen(path, "r");
    size_t length = file ? fread(text, 1, sizeof text - 1, file) : 0;
    if (file) fclose(file);
    if (handle != &handle_target || strncmp(text, "stub-cache ", 11) != 0) return -1;
    text[length] = 0;
    cached = strdup(text + 11);
    return 0;
}

int rkllm_abort(Handle handle) {
    note("abort", "");
    if (!option("ignore-abort")) is_aborted = true;
    return handle == &handle_target ? 0 : -1;
}

int rkllm_clear_kv_cache(Handle handle, int keep, int *start, int *end) {
    note("clear", "");
    static int count;
    const char *failing = option("kv-fails");
    if (failing && ++count >= atoi(failing)) return -1;
    return handle == &handle_target && !keep && !start && !end ? 0 : -1;
}

int rkllm_destroy(Handle handle) {
    note("destroy", "");
    return handle == &handle_target ? 0 : -1;
}

static int tell(const char *text, int state, const PerfStat *perf, void *userdata) {
    Result result = {.text = text};
    if (perf) result.perf = *perf;
    return callback.result_callback(&result, userdata, state);
}

static const char *words_of(const char *prompt) {
    static const char *const words[] = {"dock ", "pallet ", "gate ", "r\xc3\xa4""ck ", "seven ",
                                        "\xe2\x82\xac""5 ", "blue ", "lifts ", "at ", "noon "};
    static char text[512];
    uint32_t seed = 2166136261u;
    for (; *prompt; prompt++) seed = (seed ^ (uint8_t)*prompt) * 16777619u;
    *text = 0;
    for (uint32_t count = 20 + seed % 16; count; count--) {
        seed = seed * 1664525u + 1013904223u;
        strcat(text, words[(seed >> 16) % 10]);
    }
    return text;
}

/* Return the text without what stands in <|...|>. */
static const char *without_special(const char *text) {
    static char kept[LINE_MAX_BYTES];
    char *end = kept;
    while (*text) {
        const char *close = strncmp(text, "<|", 2) == 0 ? strstr(text, "|>") : NULL;
        if (close) text = close + 2;
        else *end++ = *text++;
    }
    *end = 0;
    return kept;
}

/* Tell `text` token by token; return how many there were. */
static int generate(const char *text, int tokens_max, long pause_ms, void *userdata) {
    int count = 0;
    while (*text && count < tokens_max && !is_aborted) {
        char token[8] = {0};
        size_t length = 1;
        if ((uint8_t)*text >= 0xc0) {
            while (((uint8_t)text[length] & 0xc0) == 0x80) length++;
            tell(NULL, WAITING, NULL, userdata);
            if (++count >= tokens_max || is_aborted) break;
        } else {
            while (length < 3 && text[length] && (uint8_t)text[length] < 0x80) length++;
        }
        memcpy(token, text, length);
        text += length;
        count++;
        sleep_ms(pause_ms);
        tell(token, NORMAL, NULL, userdata);
    }
    return count;
}

static Rule *rule_for(const char *prompt) {
    for (int place = 0; place < rule_count; place++)
        if (rules[place].count > 1 && strstr(prompt, rules[place].fields[0])) return &rules[place];
    return NULL;
}

static void save(const InferParam *infer, const char *prompt) {
    const PromptCacheParam *cache = infer->prompt_cache_params;
    if (!cache || !cache->save_prompt_cache) return;
    note("save_cache ", cache->prompt_cache_path);
    if (option("save-crash")) abort();
    FILE *file = fopen(cache->prompt_cache_path, "w");
    if (!file) return;
    fprintf(file, "stub-cache %s", prompt);
    fclose(file);
}

int rkllm_run(Handle handle, Input *input, InferParam *infer, void *userdata) {
    const char *prompt = input->prompt_input;
    if (handle != &handle_target || input->input_type != 0 || infer->mode != 0) return -1;
    note(infer->sampling_params->top_k == 1 ? "run greedy " : "run drawn ", prompt);
    is_aborted = false;
    Rule *rule = rule_for(prompt);
    const char *mode = rule ? rule->fields[1] : "say";
    const char *text = rule ? "" : words_of(prompt);
    if (rule && rule->count > 2) {
        int place = 2 + rule->used++;
        text = rule->fields[place < rule->count ? place : rule->count - 1];
    }
    bool strikes = strcmp(mode, "hang") == 0 || strcmp(mode, "crash") == 0;
    if (strikes && *text && unlink(text) != 0) {
        mode = "say";
        text = "all is well";
    }
    if (!has_empty_template) text = "the runtime's own chat template is around the prompt";

    if (has_plain_text) text = without_special(text);

    PerfStat perf = {.memory_usage_mb = 512};
    size_t known = cached && strncmp(prompt, cached, strlen(cached)) == 0 ? strlen(cached) : 0;
    perf.prefill_tokens = (int)(strlen(prompt) - known) / 4 + 1;
    double begun_ms = now_ms();
    if (strcmp(mode, "slow") == 0) {
        sleep_ms(atol(text));
        text = "ok";
    } else {
        sleep_ms(1);
    }
    perf.prefill_time_ms = (float)(now_ms() - begun_ms);
    begun_ms = now_ms();
    if (strcmp(mode, "empty") != 0) {
        bool is_hang = strcmp(mode, "hang") == 0, is_crash = strcmp(mode, "crash") == 0;
        bool is_error = strcmp(mode, "error") == 0, is_fault = is_hang || is_crash || is_error;
        int most = is_error ? 1 : is_fault ? 2 : infer->max_new_tokens;
        perf.generate_tokens = generate(is_fault ? "abcdef" : text, most, 1, userdata);
        while (is_hang) sleep_ms(1000);
        if (is_crash) abort();
    }
    perf.generate_time_ms = (float)(now_ms() - begun_ms);
    if (strcmp(mode, "unfinished") == 0) return 0;
    if (strcmp(mode, "error") == 0) {
        tell(NULL, ERROR, NULL, userdata);
        return 0;
    }
    if (!is_aborted) save(infer, prompt);
    note("finish", "");
    tell(NULL, FINISH, &perf, userdata);
    return 0;
}
