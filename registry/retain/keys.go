package retain

import (
	"encoding/json"
	"time"
)

// keyRun is the key of the index that belongs to retention: what is known of its runs, as JSON.
const keyRun = "retain/run"

// row is what is known of runs. All replicas share it.
type row struct {
	Print  string    `json:"print"`            // of the rules, as the replica has them that was started last
	Since  time.Time `json:"since"`            // since when
	Began  time.Time `json:"began"`            // when the last run began
	Open   bool      `json:"open,omitempty"`   // it has not come to its end
	Holder string    `json:"holder,omitempty"` // the process that it is a run of, and when that was last seen to be at it; so that no other one begins
	Beat   time.Time `json:"beat,omitzero"`
	After  string    `json:"after,omitempty"` // the repository that it goes on behind
	Tally  Tally     `json:"tally,omitzero"`  // of what it has done
}

// parseRow reads a row. One that cannot be read says nothing.
func parseRow(b []byte) (r row) {
	if json.Unmarshal(b, &r) != nil {
		return row{}
	}
	return r
}
