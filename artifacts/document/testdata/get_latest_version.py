import yaml

def get_latest_version(component_path):
    with open('index/components.yaml') as f:
        data = yaml.safe_load(f)
        for comp in data['components']:
            if comp['name'] == component_path:
                return comp['latest_version']
    return None
