package main

import "github.com/entrepot/entrepot/artifacts"

// kindOf names what a manifest is in one word.
func kindOf(content []byte) string { return string(artifacts.Classify(content)) }
