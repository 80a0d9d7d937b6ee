package plan

import (
	"math"
	"slices"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
)

// recommendation is a step: from At on, every sample led to that many replicas, until the next step.
type recommendation struct {
	At       time.Time `json:"at"`
	Replicas int32     `json:"replicas"`
}

// scaleEvent is by how much the number of replicas was changed.
type scaleEvent struct {
	At     time.Time `json:"at"`
	Change int32     `json:"change"`
}

// downscaleWindow is upstream's --horizontal-pod-autoscaler-downscale-stabilization.
const downscaleWindow = 5 * time.Minute

// windows are for how long recommendations count, up and down.
func (a *autoscaler) windows() (up, down time.Duration) {
	down = downscaleWindow
	if b := a.Spec.Behavior; b != nil {
		if s := b.ScaleUp.StabilizationWindowSeconds; s != nil {
			up = time.Duration(*s) * time.Second
		}
		if s := b.ScaleDown.StabilizationWindowSeconds; s != nil {
			down = time.Duration(*s) * time.Second
		}
	}
	return up, down
}

// stabilise keeps the number of replicas between the lowest recommendation of the window for scaling up and the highest of the
// one for scaling down. Upstream: stabilizeRecommendationWithBehaviors; without a behavior, the window for scaling up is none.
func (a *autoscaler) stabilise(proposed int32) int32 {
	up, down := a.windows()
	lowest, highest := proposed, proposed
	for i, r := range a.note.Recommendations {
		made := a.lastMade(i)
		if made.After(a.at.Add(-up)) {
			lowest = min(lowest, r.Replicas)
		}
		if made.After(a.at.Add(-down)) {
			highest = max(highest, r.Replicas)
		}
	}
	stable := min(max(a.current, lowest), highest)
	switch {
	case stable == proposed:
		a.set(autoscalingv2.AbleToScale, true, "ReadyForNewScale", "recommended size matches current size")
	case proposed >= a.current:
		a.set(autoscalingv2.AbleToScale, true, "ScaleUpStabilized", "recent recommendations were lower than current one, applying the lowest recent recommendation")
	default:
		a.set(autoscalingv2.AbleToScale, true, "ScaleDownStabilized", "recent recommendations were higher than current one, applying the highest recent recommendation")
	}
	return stable
}

// lastMade is when the last sample led to a recommendation: the one before that of the next step, or before this one.
func (a *autoscaler) lastMade(i int) time.Time {
	end := a.at
	if i+1 < len(a.note.Recommendations) {
		end = a.note.Recommendations[i+1].At
	}
	return later(a.note.Recommendations[i].At, end.Add(-SamplePeriod))
}

// recommended are the steps with one more, if this is one, and without those of which no window tells any more.
func (a *autoscaler) recommended(proposed int32) []recommendation {
	steps := a.note.Recommendations
	if n := len(steps); n > 0 && steps[n-1].Replicas == proposed {
		return steps
	}
	up, down := a.windows()
	cutoff := a.at.Add(-max(up, down))
	var out []recommendation
	for i, r := range steps {
		if a.lastMade(i).After(cutoff) {
			out = append(out, r)
		}
	}
	return append(out, recommendation{a.at, proposed})
}

// limitation is why a number of replicas is what it is.
type limitation struct{ reason, message string }

var (
	withinRange    = limitation{"DesiredWithinRange", "the desired count is within the acceptable range"}
	tooFew         = limitation{"TooFewReplicas", "the desired replica count is less than the minimum replica count"}
	tooMany        = limitation{"TooManyReplicas", "the desired replica count is more than the maximum replica count"}
	scaleUpLimit   = limitation{"ScaleUpLimit", "the desired replica count is increasing faster than the maximum scale rate"}
	scaleDownLimit = limitation{"ScaleDownLimit", "the desired replica count is decreasing faster than the maximum scale rate"}
)

// limit keeps the number of replicas within the minimum and the maximum, and its change within the policies. Upstream:
// convertDesiredReplicasWithRules without a behavior, convertDesiredReplicasWithBehaviorRate with one.
func (a *autoscaler) limit(desired int32) (int32, limitation) {
	lowest, highest := *a.Spec.MinReplicas, a.Spec.MaxReplicas
	down, up := int32(0), max(2*a.current, 4)
	if b := a.Spec.Behavior; b != nil {
		down, up = min(a.lowestByPolicies(b.ScaleDown), a.current), max(a.highestByPolicies(b.ScaleUp), a.current)
	}
	switch {
	case desired > a.current && desired > min(up, highest):
		if up < highest {
			return up, scaleUpLimit
		}
		return highest, tooMany
	case desired < a.current && desired < max(down, lowest):
		if down > lowest {
			return down, scaleDownLimit
		}
		return lowest, tooFew
	}
	return desired, withinRange
}

// highestByPolicies is upstream's calculateScaleUpLimitWithScalingRules. Worked example: a policy of 4 pods in 15 s, 3 pods now,
// of which 1 came 10 s ago: the period began with 2, so at most 6.
func (a *autoscaler) highestByPolicies(rules *autoscalingv2.HPAScalingRules) int32 {
	choose, result := slices.Max[[]int32], int32(math.MinInt32)
	switch *rules.SelectPolicy {
	case autoscalingv2.DisabledPolicySelect:
		return a.current
	case autoscalingv2.MinChangePolicySelect:
		choose, result = slices.Min[[]int32], math.MaxInt32
	}
	for _, policy := range rules.Policies {
		begun := a.periodBegan(policy.PeriodSeconds)
		most := begun + policy.Value
		if policy.Type == autoscalingv2.PercentScalingPolicy {
			most = int32(math.Ceil(float64(begun) * (1 + float64(policy.Value)/100)))
		}
		result = choose([]int32{result, most})
	}
	return result
}

// lowestByPolicies is upstream's calculateScaleDownLimitWithBehaviors.
func (a *autoscaler) lowestByPolicies(rules *autoscalingv2.HPAScalingRules) int32 {
	choose, result := slices.Min[[]int32], int32(math.MaxInt32)
	switch *rules.SelectPolicy {
	case autoscalingv2.DisabledPolicySelect:
		return a.current
	case autoscalingv2.MinChangePolicySelect:
		choose, result = slices.Max[[]int32], math.MinInt32
	}
	for _, policy := range rules.Policies {
		begun := a.periodBegan(policy.PeriodSeconds)
		least := begun - policy.Value
		if policy.Type == autoscalingv2.PercentScalingPolicy {
			least = int32(float64(begun) * (1 - float64(policy.Value)/100))
		}
		result = choose([]int32{result, least})
	}
	return result
}

// periodBegan is how many replicas there were when a period began that ends now.
func (a *autoscaler) periodBegan(seconds int32) int32 {
	cutoff := a.at.Add(-time.Duration(seconds) * time.Second)
	n := a.current
	for _, e := range a.note.ScaleEvents {
		if e.At.After(cutoff) {
			n -= e.Change
		}
	}
	return n
}

// withEvent adds a change to those that policies count, and drops what is older than their periods. Upstream: storeScaleEvent.
func (a *autoscaler) withEvent(next autoscalerNote, change int32) autoscalerNote {
	b := a.Spec.Behavior
	if b == nil {
		next.ScaleEvents = nil
		return next
	}
	longest := int32(0)
	for _, policy := range slices.Concat(b.ScaleUp.Policies, b.ScaleDown.Policies) {
		longest = max(longest, policy.PeriodSeconds)
	}
	cutoff := a.at.Add(-time.Duration(longest) * time.Second)
	next.ScaleEvents = slices.DeleteFunc(slices.Clone(next.ScaleEvents), func(e scaleEvent) bool { return !e.At.After(cutoff) })
	next.ScaleEvents = append(next.ScaleEvents, scaleEvent{a.at, change})
	return next
}
