// TIGRE's functions by names that ctypes finds, one library for each of its extension modules.
#include "types_TIGRE.hpp"

#ifdef AX
int siddon_ray_projection(float const* const, Geometry, float**, float const* const, int);
int siddon_ray_projection_parallel(float const* const, Geometry, float**, float const* const, int);
int interpolation_projection(float const* const, Geometry, float**, float const* const, int);
int interpolation_projection_parallel(float const* const, Geometry, float**, float const* const, int);
extern "C" int project(float* image, Geometry* g, float** out, float* angles, int n, int cone, int interpolated) {
    if (cone) return interpolated ? interpolation_projection(image, *g, out, angles, n) : siddon_ray_projection(image, *g, out, angles, n);
    return interpolated ? interpolation_projection_parallel(image, *g, out, angles, n) : siddon_ray_projection_parallel(image, *g, out, angles, n);
}
#endif

#ifdef ATB
int voxel_backprojection(float*, Geometry, float*, float const* const, int);
int voxel_backprojection2(float*, Geometry, float*, float const* const, int);
int voxel_backprojection_parallel(float*, Geometry, float*, float const* const, int);
extern "C" int backproject(float* projections, Geometry* g, float* out, float* angles, int n, int cone, int matched) {
    if (!cone) return voxel_backprojection_parallel(projections, *g, out, angles, n);
    return matched ? voxel_backprojection2(projections, *g, out, angles, n) : voxel_backprojection(projections, *g, out, angles, n);
}
#endif

#ifdef MINTV
int pocs_tv(float*, float*, float, const long*, int);
extern "C" int minimize(float* image, float* out, float alpha, long* shape, int rounds) { return pocs_tv(image, out, alpha, shape, rounds); }
#endif

#ifdef AWMINTV
int aw_pocs_tv(float*, float*, float, const long*, int, const float);
extern "C" int minimize(float* image, float* out, float alpha, long* shape, int rounds, float delta) {
    return aw_pocs_tv(image, out, alpha, shape, rounds, delta);
}
#endif

#ifdef TVDENOISING
int tvdenoising(float*, float*, float, const float*, const long*, int);
extern "C" int denoise(float* image, float* out, float lambda, float* spacing, long* shape, int rounds) {
    return tvdenoising(image, out, lambda, spacing, shape, rounds);
}
#endif
