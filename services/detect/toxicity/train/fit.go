package main

import (
	"math"
	"math/rand/v2"
	"strings"

	"github.com/llama-mapper/llama-mapper/services/detect/toxicity"
)

// example is a line as the model sees it.
type example struct {
	features []uint32
	labels   [6]bool
	held     bool // calibrates, does not train
}

func examples(lines []line) []example {
	out := make([]example, len(lines))
	held, last := 0, ""
	for i, l := range lines {
		if l.template != last {
			held, last = held+1, l.template
		}
		out[i].held = held%5 == 0
		out[i].features = toxicity.Features(l.text)
		for k, name := range toxicity.Labels {
			for _, has := range strings.Split(l.labels, ",") {
				out[i].labels[k] = out[i].labels[k] || has == name
			}
		}
	}
	return out
}

// How the weights are found: stochastic gradient descent on the logistic loss, with weights pulled to zero.
const (
	epochs = 20
	rate   = 0.5
	decay  = 2e-5
)

func sigmoid(z float64) float64 { return 1 / (1 + math.Exp(-z)) }

func (e *example) sum(w []float64, bias float64) float64 {
	s := 0.0
	for _, f := range e.features {
		s += w[f]
	}
	return s*toxicity.Weight(len(e.features)) + bias
}

// fit trains a model for each label on the examples that are not held, and calibrates it on those that are.
func fit(all []example) *toxicity.Model {
	n := len(toxicity.Labels)
	weights, bias := make([][]float64, n), make([]float64, n)
	a, b := make([]float64, n), make([]float64, n)
	for l := range n {
		weights[l] = make([]float64, toxicity.Buckets)
		bias[l] = descend(all, l, weights[l])
		a[l], b[l] = calibrate(all, l, weights[l], bias[l])
	}
	return toxicity.NewModel(weights, bias, a, b)
}

func descend(all []example, l int, w []float64) (bias float64) {
	r := rand.New(rand.NewPCG(seed, 2))
	order := r.Perm(len(all))
	for epoch := range epochs {
		r.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		step := rate / (1 + float64(epoch))
		for _, i := range order {
			e := &all[i]
			if e.held {
				continue
			}
			g := sigmoid(e.sum(w, bias))
			if e.labels[l] {
				g--
			}
			share := toxicity.Weight(len(e.features))
			for _, f := range e.features {
				w[f] -= step * (g*share + decay*w[f]*float64(len(e.features)))
			}
			bias -= step * g * 0.1
		}
	}
	return bias
}

// calibrate finds a and b so that sigmoid(a × sum + b) is a probability, by Platt's method on the held examples.
func calibrate(all []example, l int, w []float64, bias float64) (a, b float64) {
	a = 1
	for range 3000 {
		var ga, gb, count float64
		for i := range all {
			e := &all[i]
			if !e.held {
				continue
			}
			z := e.sum(w, bias)
			want := 0.02 // never quite certain
			if e.labels[l] {
				want = 0.98
			}
			d := sigmoid(a*z+b) - want
			ga, gb, count = ga+d*z, gb+d, count+1
		}
		a, b = max(a-0.05*ga/count, 0.3), b-0.05*gb/count
	}
	return a, b
}
