/* What a profiler is to NVTX: a library that is told of each range. It writes the names of those that begin to the file NVTX_HEARD.
   Layout of the tables and numbers of the callbacks: nvtx3/nvtxDetail/nvtxTypes.h (NVTX 3). */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef void (*Function)(void);
typedef struct { size_t size; int (*table)(int module, Function ***table, unsigned *size); } Callbacks;
typedef struct {
  uint16_t version, size;
  uint32_t category;
  int32_t color_type;
  uint32_t color;
  int32_t payload_type, reserved;
  union { uint64_t number; double real; } payload;
  int32_t message_type;
  union { const char *ascii; const void *registered; } message;
} Attributes;
enum { CALLBACKS = 1, CORE2 = 5, PUSH = 4, REGISTER = 10, CREATE = 12, REGISTERED = 3 };

static void *registered(void *domain, const char *text) { return strdup(text); }
static void *created(const char *name) { return strdup(name); }
static int pushed(void *domain, const Attributes *told) {
  FILE *out = fopen(getenv("NVTX_HEARD"), "a");
  fprintf(out, "%s: %s\n", (const char *)domain, (const char *)told->message.registered);
  return fclose(out);
}

int InitializeInjectionNvtx2(const void *(*table_of)(uint32_t)) {
  const Callbacks *callbacks = table_of(CALLBACKS);
  Function **table;
  unsigned size;
  if (!callbacks || !callbacks->table(CORE2, &table, &size) || size <= CREATE) return 0;
  *table[PUSH] = (Function)pushed;
  *table[REGISTER] = (Function)registered;
  *table[CREATE] = (Function)created;
  return 1;
}
