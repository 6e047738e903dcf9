package main

import (
	"fmt"
	"strconv"
	"strings"

	aitbc "github.com/aitbc/aitbc/clients/go"
)

func optionNames() []string {
	return []string{"temperature", "num_predict", "top_p", "top_k", "min_p", "repeat_penalty", "seed", "stop", "format"}
}

// parseOptions reads NAME=VALUE pairs. Ranges are the coordinator's business.
func parseOptions(pairs []string) (aitbc.Options, error) {
	var o aitbc.Options
	for _, pair := range pairs {
		name, value, ok := strings.Cut(pair, "=")
		if !ok {
			return o, fmt.Errorf("--option %q: want NAME=VALUE", pair)
		}
		if err := setOption(&o, name, value); err != nil {
			return o, fmt.Errorf("--option %s: %w", pair, err)
		}
	}
	return o, nil
}

func setOption(o *aitbc.Options, name, value string) error {
	numbers := map[string]**float64{
		"temperature": &o.Temperature, "top_p": &o.TopP, "min_p": &o.MinP, "repeat_penalty": &o.RepeatPenalty,
	}
	counts := map[string]**int32{"num_predict": &o.NumPredict, "top_k": &o.TopK, "seed": &o.Seed}
	switch name {
	case "stop":
		o.Stop = append(o.Stop, value)
		return nil
	case "format":
		o.Format = value
		return nil
	}
	if field, ok := numbers[name]; ok {
		v, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return fmt.Errorf("%q is not a number", value)
		}
		*field = &v
		return nil
	}
	if field, ok := counts[name]; ok {
		v, err := strconv.ParseInt(value, 10, 32)
		if err != nil {
			return fmt.Errorf("%q is not a whole number", value)
		}
		small := int32(v)
		*field = &small
		return nil
	}
	return fmt.Errorf("no such option; there are %s", strings.Join(optionNames(), ", "))
}
