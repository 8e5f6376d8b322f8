// See schema_generated.h.
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"
// What may go wrong, set by a compiler's flag.
#ifndef STUB_ALLOCATES
#define STUB_ALLOCATES kTfLiteOk
#endif
#ifndef STUB_INPUT_BYTES
#define STUB_INPUT_BYTES sizeof(heartzoo_beat::signal)
#endif
#ifndef STUB_FAILING_INVOKE  // which one of all, from 1 on
#define STUB_FAILING_INVOKE 0
#endif
struct TfLiteTensor {
  union {
    char *raw;
  } data;
  size_t bytes;
};
namespace tflite {
class MicroInterpreter {
 public:
  template <unsigned int operators>
  MicroInterpreter(const Model *, const MicroMutableOpResolver<operators> &, uint8_t *arena, size_t) {
    for (TfLiteTensor &tensor : tensors_) {
      tensor.data.raw = reinterpret_cast<char *>(arena);
      tensor.bytes = STUB_INPUT_BYTES;
    }
  }
  TfLiteStatus AllocateTensors() { return STUB_ALLOCATES; }
  TfLiteStatus Invoke() { return ++invoked_ == STUB_FAILING_INVOKE ? kTfLiteError : kTfLiteOk; }
  TfLiteStatus Reset() { return kTfLiteOk; }
  TfLiteTensor *input(size_t index) { return &tensors_[index]; }
  TfLiteTensor *output(size_t) { return &tensors_[2]; }

 private:
  TfLiteTensor tensors_[3];
  int invoked_ = 0;
};
}  // namespace tflite
