package account

import (
	"context"
	"iter"
	"strings"
	"time"

	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/storage/journal"
)

// Robot is a service account. It logs in with its secrets; what it may do, grants say.
type Robot struct {
	Name     string    `json:"name"`
	On       auth.Path `json:"on"` // its home: whoever administers that path manages it
	Note     string    `json:"note,omitempty"`
	Disabled bool      `json:"disabled,omitempty"`
	Created  time.Time `json:"created"`
	By       string    `json:"by"` // who added it
}

// RobotChange is what is to be different about a robot. What is nil stays.
type RobotChange struct {
	Note     *string
	Disabled *bool
}

// AddRobot adds a robot with the Name, On and Note given, and returns it as it was stored.
func (s *Store) AddRobot(ctx context.Context, r Robot) (Robot, error) {
	if err := checkLocal(r.Name); err != nil {
		return Robot{}, err
	}
	if err := r.On.Check(); err != nil {
		return Robot{}, &Error{Code: Invalid, Text: err.Error(), Err: err}
	}
	if err := checkNote(r.Note); err != nil {
		return Robot{}, err
	}
	key := keyRobot(r.Name)
	err := s.change(ctx, "add robot "+r.Name, func(c *change) error {
		if err := absent(ctx, c, key, refuse(Exists, "there is a robot %s already: change that one, or take another name", r.Name)); err != nil {
			return err
		}
		r.Disabled, r.Created, r.By = false, c.now, by(ctx)
		c.note(ctx, journal.Event{Action: "robot.add", Object: "robot:" + r.Name, Repo: string(r.On), Note: r.Note})
		return put(c, key, robotRow{r, c.epoch})
	})
	if err != nil {
		return Robot{}, err
	}
	return r, nil
}

// ChangeRobot changes a robot. Disabling ends all its logins; its secrets work again when it is enabled.
func (s *Store) ChangeRobot(ctx context.Context, name string, do RobotChange) (Robot, error) {
	if do.Note != nil {
		if err := checkNote(*do.Note); err != nil {
			return Robot{}, err
		}
	}
	var row robotRow
	err := s.change(ctx, "change robot "+name, func(c *change) (err error) {
		if row, err = known[robotRow](ctx, c, auth.Robot, name, keyRobot(name)); err != nil {
			return err
		}
		return row.change(ctx, c, do)
	})
	if err != nil {
		return Robot{}, err
	}
	return row.Robot, nil
}

// change writes what is different, if anything is.
func (row *robotRow) change(ctx context.Context, c *change, do RobotChange) error {
	var notes []string
	end := func(held) bool { return false }
	if do.Note != nil && row.Note != *do.Note {
		row.Note = *do.Note
		notes = append(notes, "note "+row.Note)
	}
	if do.Disabled != nil && row.Disabled != *do.Disabled {
		if row.Disabled = *do.Disabled; row.Disabled {
			row.Generation, end = c.epoch, held.fleeting
		}
		notes = append(notes, switched(row.Disabled))
	}
	if len(notes) == 0 {
		return nil
	}
	of := auth.Robot + ":" + row.Name
	c.note(ctx, journal.Event{Action: "robot.change", Object: of, Repo: string(row.On), Note: strings.Join(notes, "; ")})
	if err := revokeThose(ctx, c, of, end); err != nil {
		return err
	}
	return put(c, keyRobot(row.Name), *row)
}

// RemoveRobot removes a robot, its secrets and the grants made to it.
func (s *Store) RemoveRobot(ctx context.Context, name string) error {
	return s.remove(ctx, auth.Robot, name, keyRobot(name))
}

// Robot returns a robot.
func (s *Store) Robot(ctx context.Context, name string) (Robot, error) {
	row, err := known[robotRow](ctx, s.index, auth.Robot, name, keyRobot(name))
	return row.Robot, err
}

// Robots yields the robots after a name ("" is from the first on), in order of their names. An error ends the sequence.
func (s *Store) Robots(ctx context.Context, after string) iter.Seq2[Robot, error] {
	return func(yield func(Robot, error) bool) {
		for row, err := range rows[robotRow](ctx, s.index, prefixRobot, after) {
			if !yield(row.Robot, fault(err, "list robots")) {
				return
			}
		}
	}
}
