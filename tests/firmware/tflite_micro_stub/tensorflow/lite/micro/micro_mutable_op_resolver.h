// See schema_generated.h.
#pragma once
enum TfLiteStatus { kTfLiteOk, kTfLiteError };
namespace tflite {
template <unsigned int operators>
class MicroMutableOpResolver {
 public:
  TfLiteStatus AddAdd() { return add(); }
  TfLiteStatus AddAveragePool2D() { return add(); }
  TfLiteStatus AddConcatenation() { return add(); }
  TfLiteStatus AddConv2D() { return add(); }
  TfLiteStatus AddDepthwiseConv2D() { return add(); }
  TfLiteStatus AddFullyConnected() { return add(); }
  TfLiteStatus AddMaxPool2D() { return add(); }
  TfLiteStatus AddMean() { return add(); }
  TfLiteStatus AddMul() { return add(); }
  TfLiteStatus AddPad() { return add(); }
  TfLiteStatus AddReshape() { return add(); }

 private:
  TfLiteStatus add() { return ++added_ <= operators ? kTfLiteOk : kTfLiteError; }
  unsigned int added_ = 0;
};
}  // namespace tflite
