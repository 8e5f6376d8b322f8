// What heartzoo_classifier.cc uses of TFLite Micro, by its signatures alone: for a check of its syntax and types.
#pragma once
#define TFLITE_SCHEMA_VERSION 3
namespace tflite {
struct Model {
  unsigned version() const { return TFLITE_SCHEMA_VERSION; }
};
inline const Model *GetModel(const void *) {
  static const Model model;
  return &model;
}
}  // namespace tflite
