package oidc

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"time"
)

// claims are what a token says (RFC 7519, section 4); numbers are as they are spelled.
type claims map[string]any

func parseClaims(payload []byte) (claims, error) {
	d := json.NewDecoder(bytes.NewReader(payload))
	d.UseNumber()
	var c claims
	if err := d.Decode(&c); err != nil || c == nil {
		return nil, errors.New("its claims are no JSON object")
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("there is something behind its claims")
	}
	return c, nil
}

// find returns a claim by its name, or by a path of names with dots between. As names have dots, too, the longest name that there is goes first:
// kubernetes.io.namespace is the claim of that name, else namespace in kubernetes.io, else io.namespace in kubernetes. A claim that is null is none.
func (c claims) find(name string) (any, bool) {
	if v := c[name]; v != nil {
		return v, true
	}
	for i := len(name) - 1; i > 0; i-- {
		if name[i] != '.' {
			continue
		}
		if inner, ok := c[name[:i]].(map[string]any); ok {
			if v, ok := claims(inner).find(name[i+1:]); ok {
				return v, true
			}
		}
	}
	return nil, false
}

// texts returns the values of a claim that is a list, or its one value: texts as they are, booleans and numbers as JSON spells them, nothing else.
// Claims that were no token's may have numbers that are an int.
func (c claims) texts(name string) []string {
	v, _ := c.find(name)
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	var texts []string
	for _, v := range list {
		if s, ok := spell(v); ok {
			texts = append(texts, s)
		}
	}
	return texts
}

// text returns a claim that has one value.
func (c claims) text(name string) (string, bool) {
	v, _ := c.find(name)
	return spell(v)
}

func spell(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case bool, json.Number, int:
		return fmt.Sprint(v), true
	}
	return "", false
}

// time returns a claim that is a time (RFC 7519, section 2: NumericDate); zero if there is none.
func (c claims) time(name string) (time.Time, error) {
	if c[name] == nil {
		return time.Time{}, nil
	}
	n, ok := c[name].(json.Number)
	seconds, err := n.Float64()
	if !ok || err != nil || !(seconds >= 0 && seconds < 1e11) {
		return time.Time{}, fmt.Errorf("its %s is no time in seconds since 1970", name)
	}
	return time.Unix(int64(math.Floor(seconds)), 0), nil
}
