// Counts the matrix products that a ggml backend's device executes.
//
// Compiled into the backend's library by tools/build-npu-backend, against the same headers. The
// tree's own ggml_backend_init is renamed to edged_tree_init; this file's takes its place and puts
// a counting function in front of each device's init_backend and graph_compute. What is counted was
// handed to the device inside llama_decode and came back as a success.
#include "ggml-backend-impl.h"

#include <atomic>
#include <cstdint>
#include <unordered_map>

#undef ggml_backend_init

extern "C" ggml_backend_reg_t edged_tree_init(void);

namespace {

using init_fn    = decltype(ggml_backend_device_i::init_backend);
using compute_fn = decltype(ggml_backend_i::graph_compute);

std::unordered_map<ggml_backend_dev_t, init_fn> inits;  // complete before the first init
std::atomic<compute_fn> compute{nullptr};               // one function for all of a tree's devices
std::atomic<uint64_t>   matmuls{0};
std::atomic<uint64_t>   shapes{0};  // bit n: products of more than 2^(n-1), at most 2^n rows

int ceil_log2(int64_t rows) {
    int bits = 0;
    while ((int64_t(1) << bits) < rows) {
        bits++;
    }
    return bits;
}

ggml_status counted_compute(ggml_backend_t backend, ggml_cgraph * graph) {
    const ggml_status status = compute.load()(backend, graph);
    if (status != GGML_STATUS_SUCCESS) {
        return status;
    }
    for (int i = 0; i < ggml_graph_n_nodes(graph); i++) {
        const ggml_tensor * node = ggml_graph_node(graph, i);
        if (node->op == GGML_OP_MUL_MAT && (node->flags & GGML_TENSOR_FLAG_COMPUTE)) {
            matmuls++;
            shapes |= uint64_t(1) << ceil_log2(node->src[1]->ne[1]);
        }
    }
    return status;
}

ggml_backend_t counted_init(ggml_backend_dev_t device, const char * params) {
    ggml_backend_t backend = inits.at(device)(device, params);
    if (backend != nullptr && backend->iface.graph_compute != counted_compute) {
        compute.store(backend->iface.graph_compute);
        backend->iface.graph_compute = counted_compute;
    }
    return backend;
}

}  // namespace

extern "C" {

__attribute__((visibility("default"))) void edged_npu_counts(uint64_t counts[2]) {
    counts[0] = matmuls.load();
    counts[1] = shapes.load();
}

__attribute__((visibility("default"))) ggml_backend_reg_t ggml_backend_init(void) {
    ggml_backend_reg_t reg = edged_tree_init();
    if (reg == nullptr || reg->api_version != GGML_BACKEND_API_VERSION) {
        return reg;  // ggml refuses it, and nothing of it may be touched
    }
    for (size_t i = 0; i < reg->iface.get_device_count(reg); i++) {
        ggml_backend_dev_t device = reg->iface.get_device(reg, i);
        if (inits.emplace(device, device->iface.init_backend).second) {
            device->iface.init_backend = counted_init;
        }
    }
    return reg;
}

}  // extern "C"
