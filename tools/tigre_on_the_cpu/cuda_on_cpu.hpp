// The part of CUDA's runtime that TIGRE uses, on the CPU: memory is the host's, streams do nothing, a launch is a loop.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <type_traits>
#include <vector>
#include <ucontext.h>

#define __global__ static
#define __device__ static
#define __constant__ static
#define __host__
#define __shared__
#define __inline__ inline
#define mexPrintf printf
inline void mexErrMsgIdAndTxt(const char* id, const char* text) { fprintf(stderr, "%s %s\n", id, text); }

using std::abs;
template <class A, class B> std::common_type_t<A, B> min(A a, B b) { return b < a ? b : a; }
template <class A, class B> std::common_type_t<A, B> max(A a, B b) { return a < b ? b : a; }
// A negative float as unsigned is 0 on a GPU; in C++ it may be anything.
inline unsigned saturated(float x) { return x > 0 ? unsigned(x) : 0; }
inline float __expf(float x) { return std::exp(x); }
inline float __fdividef(float a, float b) { return a / b; }
inline float __frcp_rd(float x) { return 1 / x; }
inline float __fsqrt_rd(float x) { return std::sqrt(x); }

struct dim3 {
    unsigned x, y, z;
    dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};
inline thread_local dim3 gridDim, blockDim, blockIdx, threadIdx;

typedef int cudaError_t;
enum { cudaSuccess = 0 };
typedef int cudaStream_t;
typedef int cudaEvent_t;
enum cudaMemcpyKind { cudaMemcpyHostToDevice, cudaMemcpyDeviceToHost, cudaMemcpyDeviceToDevice };
enum cudaTextureAddressMode { cudaAddressModeBorder, cudaAddressModeClamp };
enum cudaTextureFilterMode { cudaFilterModePoint, cudaFilterModeLinear };
enum { cudaReadModeElementType, cudaResourceTypeArray, cudaHostRegisterPortable, cudaDevAttrHostRegisterSupported };
#define cudaTextureType3D 3
struct cudaExtent { size_t width, height, depth; };
struct cudaPitchedPtr { void* ptr; size_t pitch, xsize, ysize; };
struct cudaPos { size_t x, y, z; };
struct cudaChannelFormatDesc {};
struct cudaArray { cudaExtent extent; float* values; };
typedef cudaArray* cudaArray_t;
struct cudaMemcpy3DParms { cudaPitchedPtr srcPtr; cudaPos srcPos; cudaArray* dstArray; cudaPos dstPos; cudaPitchedPtr dstPtr; cudaExtent extent; cudaMemcpyKind kind; };
struct cudaDeviceProp { char name[256]; size_t totalGlobalMem; };
struct cudaResourceDesc { int resType; struct { struct { cudaArray* array; } array; } res; };
struct cudaTextureDesc { cudaTextureAddressMode addressMode[3]; cudaTextureFilterMode filterMode; int readMode; int normalizedCoords; };
struct Texture { cudaArray* array; cudaTextureFilterMode filter; };
typedef Texture* cudaTextureObject_t;
template <class T, int D, int M> struct texture { int normalized; cudaTextureFilterMode filterMode; cudaTextureAddressMode addressMode[3]; cudaArray* array; };

inline cudaExtent make_cudaExtent(size_t w, size_t h, size_t d) { return {w, h, d}; }
inline cudaPitchedPtr make_cudaPitchedPtr(void* p, size_t pitch, size_t w, size_t h) { return {p, pitch, w, h}; }
template <class T> cudaChannelFormatDesc cudaCreateChannelDesc() { return {}; }
inline cudaError_t cudaGetLastError() { return cudaSuccess; }
inline const char* cudaGetErrorString(cudaError_t) { return "none"; }
inline cudaError_t cudaDeviceReset() { return 0; }
inline cudaError_t cudaDeviceSynchronize() { return 0; }
inline cudaError_t cudaSetDevice(int) { return 0; }
inline cudaError_t cudaGetDeviceCount(int* count) { *count = 1; return 0; }
inline cudaError_t cudaGetDeviceProperties(cudaDeviceProp* p, int) { strcpy(p->name, "CPU"); p->totalGlobalMem = size_t(4) << 30; return 0; }
inline cudaError_t cudaDeviceGetAttribute(int* value, int, int) { *value = 0; return 0; }
inline cudaError_t cudaMemGetInfo(size_t* free, size_t* all) { *free = *all = size_t(4) << 30; return 0; }
// Zeros, as fresh memory of a device mostly is: TIGRE's smoothing reads beyond the first and last slice it has set.
template <class T> cudaError_t cudaMalloc(T** p, size_t n) { *p = (T*)calloc(n, 1); return 0; }
template <class T> cudaError_t cudaMallocHost(T** p, size_t n) { *p = (T*)malloc(n); return 0; }
inline cudaError_t cudaFree(void* p) { free(p); return 0; }
inline cudaError_t cudaFreeHost(void* p) { free(p); return 0; }
inline cudaError_t cudaHostRegister(void*, size_t, int) { return 0; }
inline cudaError_t cudaHostUnregister(void*) { return 0; }
inline cudaError_t cudaMemcpy(void* to, const void* from, size_t n, cudaMemcpyKind) { memmove(to, from, n); return 0; }
inline cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t n, cudaMemcpyKind, cudaStream_t = 0) { memmove(to, from, n); return 0; }
inline cudaError_t cudaMemset(void* p, int v, size_t n) { memset(p, v, n); return 0; }
inline cudaError_t cudaMemsetAsync(void* p, int v, size_t n, cudaStream_t = 0) { memset(p, v, n); return 0; }
template <class T> cudaError_t cudaMemcpyToSymbolAsync(T& symbol, const void* from, size_t n, size_t offset, cudaMemcpyKind, cudaStream_t = 0) {
    memcpy((char*)&symbol + offset, from, n); return 0;
}
inline cudaError_t cudaStreamCreate(cudaStream_t* s) { *s = 0; return 0; }
inline cudaError_t cudaStreamDestroy(cudaStream_t) { return 0; }
inline cudaError_t cudaStreamSynchronize(cudaStream_t) { return 0; }
inline cudaError_t cudaEventCreate(cudaEvent_t* e) { *e = 0; return 0; }
inline cudaError_t cudaEventRecord(cudaEvent_t, cudaStream_t) { return 0; }
inline cudaError_t cudaEventSynchronize(cudaEvent_t) { return 0; }
inline cudaError_t cudaEventElapsedTime(float* t, cudaEvent_t, cudaEvent_t) { *t = 0; return 0; }

inline cudaError_t cudaMalloc3D(cudaPitchedPtr* p, cudaExtent e) { *p = {calloc(e.width * e.height, e.depth), e.width, e.width, e.height}; return 0; }
inline cudaError_t cudaMalloc3DArray(cudaArray** a, const cudaChannelFormatDesc*, cudaExtent e) {
    *a = new cudaArray{e, (float*)calloc(e.width * e.height * e.depth, sizeof(float))}; return 0;
}
inline cudaError_t cudaFreeArray(cudaArray* a) { free(a->values); delete a; return 0; }
inline cudaError_t cudaMemcpy3D(const cudaMemcpy3DParms* p) {
    const cudaExtent e = p->extent;
    for (size_t z = 0; z < e.depth; z++) for (size_t y = 0; y < e.height; y++)
        memcpy(p->dstArray->values + (z * p->dstArray->extent.height + y) * p->dstArray->extent.width,
               (char*)p->srcPtr.ptr + (z * p->srcPtr.ysize + y) * p->srcPtr.pitch, e.width * sizeof(float));
    return 0;
}
inline cudaError_t cudaMemcpy3DAsync(const cudaMemcpy3DParms* p, cudaStream_t = 0) { return cudaMemcpy3D(p); }
inline cudaError_t cudaCreateTextureObject(cudaTextureObject_t* t, const cudaResourceDesc* r, const cudaTextureDesc* d, const void*) {
    *t = new Texture{r->res.array.array, d->filterMode}; return 0;
}
inline cudaError_t cudaDestroyTextureObject(cudaTextureObject_t t) { delete t; return 0; }
template <class T, int D, int M> cudaError_t cudaBindTextureToArray(texture<T, D, M>& t, cudaArray* a, cudaChannelFormatDesc) { t.array = a; return 0; }
template <class T, int D, int M> cudaError_t cudaUnbindTexture(texture<T, D, M>& t) { t.array = nullptr; return 0; }

// Unnormalised coordinates, zero outside (border). Linear: texel i lies at i + 0.5 (CUDA rounds the weights to 1/256; here not).
inline float texel(const cudaArray* a, long x, long y, long z) {
    if (x < 0 || y < 0 || z < 0 || x >= (long)a->extent.width || y >= (long)a->extent.height || z >= (long)a->extent.depth) return 0;
    return a->values[(z * a->extent.height + y) * a->extent.width + x];
}
inline float fetch(const cudaArray* a, cudaTextureFilterMode filter, float x, float y, float z) {
    if (!(std::abs(x) < 1e9f && std::abs(y) < 1e9f && std::abs(z) < 1e9f)) return 0;
    if (filter == cudaFilterModePoint) return texel(a, (long)std::floor(x), (long)std::floor(y), (long)std::floor(z));
    x -= 0.5f; y -= 0.5f; z -= 0.5f;
    const long i = (long)std::floor(x), j = (long)std::floor(y), k = (long)std::floor(z);
    const float u = x - i, v = y - j, w = z - k;
    float sum = 0;
    for (int c = 0; c < 8; c++) {
        const int di = c & 1, dj = c >> 1 & 1, dk = c >> 2;
        const float weight = (di ? u : 1 - u) * (dj ? v : 1 - v) * (dk ? w : 1 - w);
        if (weight != 0) sum += weight * texel(a, i + di, j + dj, k + dk);
    }
    return sum;
}
template <class T, int D, int M> float tex3D(const texture<T, D, M>& t, float x, float y, float z) { return fetch(t.array, t.filterMode, x, y, z); }
template <class T> T tex3D(cudaTextureObject_t t, float x, float y, float z) { return fetch(t->array, t->filter, x, y, z); }

// One thread after the other; where a kernel waits for its neighbours, each thread of a block is a fiber that yields.
alignas(16) static float shared_memory[4096];
struct Fibers {
    ucontext_t back; std::vector<ucontext_t> context; std::vector<std::vector<char>> stack; std::vector<char> done; int now = -1; void (*body)(void*); void* given;
};
inline Fibers fibers;
inline void fiber_entry() { fibers.body(fibers.given); fibers.done[fibers.now] = 1; swapcontext(&fibers.context[fibers.now], &fibers.back); }
inline void __syncthreads() { swapcontext(&fibers.context[fibers.now], &fibers.back); }

template <class Kernel> struct Launch {
    Kernel kernel; dim3 grid, block; bool together;
    template <class... A> void operator()(A... a) const {
        auto body = [&] { kernel(a...); };
        gridDim = grid; blockDim = block;
        for (blockIdx.z = 0; blockIdx.z < grid.z; blockIdx.z++) for (blockIdx.y = 0; blockIdx.y < grid.y; blockIdx.y++) for (blockIdx.x = 0; blockIdx.x < grid.x; blockIdx.x++) {
            if (together) { one_block(body); continue; }
            for (threadIdx.z = 0; threadIdx.z < block.z; threadIdx.z++) for (threadIdx.y = 0; threadIdx.y < block.y; threadIdx.y++) for (threadIdx.x = 0; threadIdx.x < block.x; threadIdx.x++) body();
        }
    }
    template <class B> void one_block(B& body) const {
        const int n = block.x;
        fibers.context.resize(n); fibers.stack.resize(n); fibers.done.assign(n, 0);
        fibers.given = &body; fibers.body = [](void* p) { (*(B*)p)(); };
        for (int t = 0; t < n; t++) {
            fibers.stack[t].resize(65536);
            getcontext(&fibers.context[t]);
            fibers.context[t].uc_stack.ss_sp = fibers.stack[t].data(); fibers.context[t].uc_stack.ss_size = 65536; fibers.context[t].uc_link = &fibers.back;
            makecontext(&fibers.context[t], fiber_entry, 0);
        }
        for (bool left = true; left;) {
            left = false;
            for (int t = 0; t < n; t++) if (!fibers.done[t]) { fibers.now = t; threadIdx = dim3(t, 0, 0); swapcontext(&fibers.back, &fibers.context[t]); left = true; }
        }
    }
};
template <class Kernel> Launch<Kernel> launch(bool together, Kernel k, dim3 grid, dim3 block, size_t = 0, cudaStream_t = 0) { return {k, grid, block, together}; }
