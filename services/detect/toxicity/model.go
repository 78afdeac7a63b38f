package toxicity

import (
	"bytes"
	_ "embed"
	"encoding/binary"
	"fmt"
	"math"
)

//go:embed model.bin
var modelBytes []byte

// head is what a model begins with: for each label its scale, its bias and its calibration.
type head struct {
	Magic [8]byte
	Label [6]struct{ Scale, Bias, A, B float32 }
}

var magic = [8]byte{'t', 'o', 'x', 'i', 'c', '0', '0', '1'}

// Model is a linear model for each label over hashed features, with weights of one byte.
type Model struct {
	head    head
	weights []int8 // by bucket, then by label
}

// NewModel packs weights, by label and bucket, with biases and calibrations: score = sigmoid(a × sum + b).
func NewModel(weights [][]float64, bias []float64, a, b []float64) *Model {
	m := &Model{head: head{Magic: magic}, weights: make([]int8, Buckets*len(Labels))}
	for l := range Labels {
		most := 1e-9
		for _, w := range weights[l] {
			most = max(most, math.Abs(w))
		}
		m.head.Label[l].Scale, m.head.Label[l].Bias = float32(most/127), float32(bias[l])
		m.head.Label[l].A, m.head.Label[l].B = float32(a[l]), float32(b[l])
		for i, w := range weights[l] {
			m.weights[i*len(Labels)+l] = int8(math.Round(w / most * 127))
		}
	}
	return m
}

// Bytes are the model as model.bin has it.
func (m *Model) Bytes() []byte {
	var b bytes.Buffer
	_ = binary.Write(&b, binary.LittleEndian, m.head)    // a buffer takes all
	_ = binary.Write(&b, binary.LittleEndian, m.weights) // as above
	return b.Bytes()
}

func loadModel(b []byte) (*Model, error) {
	m := &Model{weights: make([]int8, Buckets*len(Labels))}
	r := bytes.NewReader(b)
	if err := binary.Read(r, binary.LittleEndian, &m.head); err != nil {
		return nil, err
	}
	if m.head.Magic != magic {
		return nil, fmt.Errorf("no model: it begins with %q", m.head.Magic)
	}
	if err := binary.Read(r, binary.LittleEndian, m.weights); err != nil {
		return nil, err
	}
	return m, nil
}

// scores are the calibrated scores of a segment by the buckets of its features. What is too little to be said is 0.
func (m *Model) scores(features []uint32) (out [6]float64) {
	var sums [6]int32
	for _, b := range features {
		w := (*[6]int8)(m.weights[b*6:])
		sums[0] += int32(w[0])
		sums[1] += int32(w[1])
		sums[2] += int32(w[2])
		sums[3] += int32(w[3])
		sums[4] += int32(w[4])
		sums[5] += int32(w[5])
	}
	weight := Weight(len(features))
	for l := range out {
		h := m.head.Label[l]
		z := float64(sums[l])*float64(h.Scale)*weight + float64(h.Bias)
		if x := float64(h.A)*z + float64(h.B); x > tooLittle {
			out[l] = 1 / (1 + math.Exp(-x))
		}
	}
	return out
}

// tooLittle makes a score below minScore.
const tooLittle = -0.85

// Weight is what each of n features counts: a long segment is not more certain for its length alone.
func Weight(n int) float64 { return 1 / math.Sqrt(float64(max(n, 1))) }
