/* The one product of matrices that ggml-blas wants of a BLAS for inference: C = A * B^T.
 *
 * EDGED_BLAS_FAULT="garbage N", "crash N" or "hang N" lets it go wrong behind its first N products
 * in a process. With a path in the place of N it goes wrong once that file is there: garbage as
 * long as it is, the others once, and the file is gone then.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cblas.h"

static int fails(const char *fault) {
    static int products;
    char wanted[16] = "", when[4096] = "";
    const char *given = getenv("EDGED_BLAS_FAULT");
    if (given == NULL || sscanf(given, "%15s %4095s", wanted, when) != 2) return 0;
    if (strcmp(wanted, fault) != 0) return 0;
    if (*when != '/') return ++products > atoi(when);
    return strcmp(fault, "garbage") == 0 ? access(when, F_OK) == 0 : unlink(when) == 0;
}

static float dot(const float *a, const float *b, int k) {
    float sum = 0.0f;
    for (int i = 0; i < k; i++) sum += a[i] * b[i];
    return sum;
}

void cblas_sgemm(enum CBLAS_ORDER order, CBLAS_TRANSPOSE trans_a, CBLAS_TRANSPOSE trans_b, int m,
                 int n, int k, float alpha, const float *a, int lda, const float *b, int ldb,
                 float beta, float *c, int ldc) {
    if (order != CblasRowMajor || trans_a != CblasNoTrans || trans_b != CblasTrans) abort();
    if (alpha != 1.0f || beta != 0.0f) abort();
    if (fails("crash")) *(volatile int *)0 = 1;
    if (fails("hang")) pause();
    const int is_garbage = fails("garbage");
    for (int i = 0; i < m; i++)
        for (int j = 0; j < n; j++) {
            const float sum = dot(a + (long)i * lda, b + (long)j * ldb, k);
            c[(long)i * ldc + j] = is_garbage ? (float)((i * 31 + j * 17) % 7 - 3) : sum;
        }
}
