// See schema_generated.h.
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"
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
      tensor.bytes = sizeof(heartzoo_beat::signal);
    }
  }
  TfLiteStatus AllocateTensors() { return kTfLiteOk; }
  TfLiteStatus Invoke() { return kTfLiteOk; }
  TfLiteStatus Reset() { return kTfLiteOk; }
  TfLiteTensor *input(size_t index) { return &tensors_[index]; }
  TfLiteTensor *output(size_t) { return &tensors_[2]; }

 private:
  TfLiteTensor tensors_[3];
};
}  // namespace tflite
