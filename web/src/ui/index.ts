/** The component library of the pages: nothing else draws buttons, fields or panels. */
export { Banner, Chip, type Tone } from "./Banner";
export { Button, IconButton } from "./Button";
export { Dialog } from "./Dialog";
export { ErrorBoundary } from "./ErrorBoundary";
export { Icon, type IconName } from "./icons";
export { Mistakes } from "./Mistakes";
export { Panel, type Tab, Tabs } from "./Panel";
export { Slider } from "./Slider";
