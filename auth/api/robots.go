package api

import (
	"net/http"

	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/auth/account"
	"github.com/entrepot/entrepot/door"
)

// listRobots lists the robots whose home the caller administers.
func (a *api) listRobots(w http.ResponseWriter, r *http.Request, c door.Call) error {
	var all []account.Robot
	for robot, err := range a.Accounts.Robots(r.Context(), c.Query.Get("last")) {
		if err != nil {
			return err
		}
		if !c.May(r.Context(), auth.Administer, robot.On.Base()) {
			continue
		}
		if all = append(all, robot); len(all) == pageSize {
			break
		}
	}
	return reply(w, http.StatusOK, map[string]any{"robots": orNone(all)})
}

// robot returns the robot that the path names, if the caller administers its home. To others it does not exist.
func (a *api) robot(r *http.Request, c door.Call) (account.Robot, error) {
	name, _ := named(c)
	robot, err := a.Accounts.Robot(r.Context(), name)
	if account.Code(err) == account.Unknown {
		return robot, unknown("robot", name)
	}
	if err != nil {
		return robot, err
	}
	return robot, hides(ask(r.Context(), c, auth.Administer, robot.On), "robot", name)
}

func (a *api) getRobot(w http.ResponseWriter, r *http.Request, c door.Call) error {
	robot, err := a.robot(r, c)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, robot)
}

func (a *api) addRobot(w http.ResponseWriter, r *http.Request, c door.Call) error {
	var asked struct {
		Name string    `json:"name"`
		On   auth.Path `json:"on"`
		Note string    `json:"note"`
	}
	if err := read(w, r, c, &asked); err != nil {
		return err
	}
	if asked.On == "" {
		asked.On = auth.Everywhere
	}
	if err := asked.On.Check(); err != nil {
		return invalid("on: %v", err)
	}
	if err := administers(r.Context(), c, asked.On); err != nil {
		return err
	}
	if err := a.closed("a robot"); err != nil {
		return err
	}
	if err := a.noMore(c, asked.Name); err != nil {
		return err
	}
	robot, err := a.Accounts.AddRobot(c.By(r), account.Robot{Name: asked.Name, On: asked.On, Note: asked.Note})
	if err != nil {
		return err
	}
	return reply(w, http.StatusCreated, robot)
}

// noMore refuses to let somebody become a robot that was granted more than this somebody may give away: who has a robot's secret is the robot.
func (a *api) noMore(c door.Call, name string) error {
	for _, g := range a.Rules().Granted(auth.Identity{Kind: auth.Robot, Name: name}) {
		if g.Who == auth.Anyone {
			continue
		}
		if a.Rules().MayAppoint(c.Who, g) != nil {
			return &door.Refusal{Answer: door.Denied, Detail: map[string]string{
				"hint": "the robot " + name + " is " + string(g.Role) + " on " + string(g.On) + ", which is more than you may give; ask somebody who may"}}
		}
	}
	return nil
}

// closed refuses what would close an open registry and leave nobody in it who could manage it.
func (a *api) closed(what string) error {
	if !a.Open() {
		return nil
	}
	return &door.Refusal{Answer: door.Answer{Status: http.StatusConflict, Code: "INVALID", Message: "this registry has no users yet"},
		Detail: map[string]string{"hint": "add a user before " + what + ": the first one becomes admin, and from then on everybody has to log in"}}
}

func (a *api) changeRobot(w http.ResponseWriter, r *http.Request, c door.Call) error {
	robot, err := a.robot(r, c)
	if err != nil {
		return err
	}
	var asked struct {
		Note     *string `json:"note"`
		Disabled *bool   `json:"disabled"`
	}
	if err := read(w, r, c, &asked); err != nil {
		return err
	}
	if asked.Disabled != nil && !*asked.Disabled {
		if err := a.noMore(c, robot.Name); err != nil {
			return err
		}
	}
	if robot, err = a.Accounts.ChangeRobot(c.By(r), robot.Name, account.RobotChange{Note: asked.Note, Disabled: asked.Disabled}); err != nil {
		return err
	}
	return reply(w, http.StatusOK, robot)
}

func (a *api) removeRobot(w http.ResponseWriter, r *http.Request, c door.Call) error {
	robot, err := a.robot(r, c)
	if err != nil {
		return err
	}
	if err := a.Accounts.RemoveRobot(c.By(r), robot.Name); err != nil {
		return err
	}
	return none(w)
}

func (a *api) listSecrets(w http.ResponseWriter, r *http.Request, c door.Call) error {
	robot, err := a.robot(r, c)
	if err != nil {
		return err
	}
	return a.secretsOf(w, r, auth.Robot+":"+robot.Name)
}

// addSecret makes a robot a secret. It is in this answer and nowhere else.
func (a *api) addSecret(w http.ResponseWriter, r *http.Request, c door.Call) error {
	robot, err := a.robot(r, c)
	if err != nil {
		return err
	}
	if err := a.noMore(c, robot.Name); err != nil {
		return err
	}
	if robot.Disabled {
		return &door.Refusal{Answer: door.Answer{Status: http.StatusConflict, Code: "INVALID", Message: "the robot is disabled"},
			Detail: map[string]string{"hint": "enable the robot " + robot.Name + " before it gets a secret"}}
	}
	return a.newSecret(w, r, c, auth.Robot+":"+robot.Name, account.PurposeSecret)
}

func (a *api) revokeSecret(w http.ResponseWriter, r *http.Request, c door.Call) error {
	robot, err := a.robot(r, c)
	if err != nil {
		return err
	}
	_, id := named(c)
	return a.revoke(w, r, c, auth.Robot+":"+robot.Name, id)
}
