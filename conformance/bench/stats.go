package main

import (
	"math"
	"slices"
	"time"
)

// percentile returns the value below or at which p (0 to 1) of the sorted values lie, by the nearest rank.
func percentile(sorted []time.Duration, p float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	rank := int(math.Ceil(p * float64(len(sorted))))
	return sorted[min(max(rank, 1), len(sorted))-1]
}

// median returns the middle value, or the mean of the two middle ones.
func median(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	v := slices.Sorted(slices.Values(values))
	if n := len(v); n%2 == 0 {
		return (v[n/2-1] + v[n/2]) / 2
	}
	return v[len(v)/2]
}

// measure is what one round of a scenario gave: figures by the name of their metric.
type measure map[metric]float64

// medians returns, metric by metric, the median of the rounds that have it.
func medians(rounds []measure) measure {
	all := map[metric][]float64{}
	for _, m := range rounds {
		for k, v := range m {
			all[k] = append(all[k], v)
		}
	}
	out := measure{}
	for k, v := range all {
		out[k] = median(v)
	}
	return out
}
